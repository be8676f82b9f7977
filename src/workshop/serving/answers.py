"""Answers of one model version in MLflow's scoring protocol, and refusals in one sentence.

MLflow's server, `scoring_server.init(model)`, reads the input schema once, at its start: with a changing model it would
use one version's schema with another version's trees. So this module calls the function behind that server,
`scoring_server.invocations`, with model and schema of one version. The tests compare its answers with the server's, so
that an update of MLflow can't change them unnoticed. MLflow's own refusals quote the request and the traceback at
length, so they are replaced.
"""

import json
import logging
import re
from typing import Any

from mlflow.exceptions import MlflowException
from mlflow.models import convert_input_example_to_serving_input
from mlflow.pyfunc import scoring_server

from kit_common.sanitize import first_sentence, printable
from workshop.core.registry.model import LoadedModel

_logger = logging.getLogger(__name__)
_mlflow_answer: Any = scoring_server.invocations

_CHARSETS = ("utf-8", "utf8", "us-ascii", "ascii")
_SEE = "GET /model lists its columns"
_ERRORS_OF_BAD_INPUT = (ValueError, TypeError, LookupError, RecursionError)
_CODES_OF_BAD_INPUT = ("BAD_REQUEST", "INVALID_PARAMETER_VALUE")
_MLFLOW_PREAMBLE = re.compile(r"^(Invalid input\. |Data is not compatible with model signature\. )+")


class RefusedError(Exception):
    """A refused request: the HTTP status, a code for programs and a sentence for users."""

    def __init__(self, status: int, code: str, sentence: str) -> None:
        super().__init__(sentence)
        self.status = status
        self.code = code


def bad_request(sentence: str) -> RefusedError:
    """Return the refusal of a wrong request (400)."""
    return RefusedError(400, "BAD_REQUEST", sentence)


def answer(model: LoadedModel, body: bytes, content_type: str) -> str:
    """Return the body of the response, as MLflow's scoring server writes it for that model version.

    Raises:
        RefusedError: the request is wrong (400), its content type is not supported (415), or the model fails (500).
    """
    if not content_type.strip():
        raise bad_request("The request has no content-type header: send application/json or text/csv.")
    media_type = _normalized(content_type)
    scored = _ObservedModel(model)
    try:
        result = _mlflow_answer(body, media_type, scored, model.pyfunc.metadata.get_input_schema())
    except Exception as error:  # the request and the model may raise anything
        raise scored.refusal(error) from error
    if result.status != 200:
        raise RefusedError(
            result.status,
            "UNSUPPORTED_MEDIA_TYPE",
            "This content type can't be read: send application/json, text/csv or application/vnd.apache.parquet, "
            "in UTF-8 and without further parameters.",
        )
    return str(result.response)


def example_request(model: LoadedModel) -> str:
    """Return a JSON body that /invocations answers: the rows that were logged with the version as its example.

    Raises:
        RefusedError: it was logged without an example (404).
    """
    if model.pyfunc.input_example is None:
        raise RefusedError(
            404, "RESOURCE_DOES_NOT_EXIST", f"Version {model.version} was logged without an input example; {_SEE}."
        )
    return str(convert_input_example_to_serving_input(model.pyfunc.input_example))


def _normalized(content_type: str) -> str:
    """Return a content type as MLflow compares it: in lower case, and without a charset that UTF-8 includes.

    Raises:
        RefusedError: the charset is another one (415).
    """
    media_type, *parameters = (part.strip() for part in content_type.split(";"))
    others = []
    for parameter in parameters:
        name, _, value = (part.strip() for part in parameter.partition("="))
        if name.lower() != "charset":
            others += [parameter] if parameter else []
        elif value.strip('"').lower() not in _CHARSETS:
            raise RefusedError(
                415,
                "UNSUPPORTED_MEDIA_TYPE",
                f"The charset {printable(value)[:100]!r} can't be read: send the body in UTF-8.",
            )
    return ";".join([media_type.lower(), *others])


class _ObservedModel:
    """The model for MLflow's scoring function; stores whether it was called, and its error."""

    def __init__(self, model: LoadedModel) -> None:
        self.metadata = model.pyfunc.metadata
        self._version = model.version
        self._pyfunc = model.pyfunc
        self._reached = False
        self._failure: Exception | None = None

    def predict(self, data: Any, params: dict[str, Any] | None = None) -> Any:
        """Return the model's prediction, and store its error."""
        self._reached = True
        try:
            return self._pyfunc.predict(data, params=params)
        except Exception as error:
            self._failure = error
            raise

    def refusal(self, error: Exception) -> RefusedError:
        """Return the refusal: of the request, if that is wrong, else of the model."""
        if not self._reached:
            return bad_request(_unreadable(error))
        if self._failure is None:
            return self._failed(error)
        if isinstance(self._failure, MlflowException) and self._failure.error_code in _CODES_OF_BAD_INPUT:
            message = _shortened(self._failure.message.rpartition("Error: ")[2])
            return bad_request(f"The input does not fit version {self._version}: {message}; {_SEE}.")
        if isinstance(self._failure, _ERRORS_OF_BAD_INPUT) and self._answers_its_example():
            message = f"{type(self._failure).__name__}: {_shortened(str(self._failure))}"
            return bad_request(f"Version {self._version} can't take these values ({message}): correct them.")
        return self._failed(self._failure)

    def _answers_its_example(self) -> bool:
        """Return whether the model works on its own example, so that its error is due to the request."""
        if self._pyfunc.input_example is None:
            return False
        try:
            self._pyfunc.predict(self._pyfunc.input_example)
        except Exception:  # noqa: BLE001  # a model may raise anything
            return False
        return True

    def _failed(self, error: Exception) -> RefusedError:
        _logger.error("Version %s failed: %s: %s", self._version, type(error).__name__, first_sentence(error))
        return RefusedError(
            500,
            "INTERNAL_ERROR",
            f"The model, version {self._version}, failed ({type(error).__name__}): report it to the server's "
            "administrator, whose log has the details.",
        )


def _unreadable(error: Exception) -> str:
    """Return what is wrong with a body that could not be turned into a table."""
    cause = error.__cause__
    if isinstance(cause, UnicodeDecodeError):
        return f"The body is not UTF-8: there is a wrong byte at position {cause.start}."
    if isinstance(cause, json.JSONDecodeError):
        return f"The body is not JSON: {cause.msg} at line {cause.lineno}, column {cause.colno}."
    if isinstance(error, RecursionError):
        return "The body is nested too deeply: send a table or a list of numbers."
    message = error.message if isinstance(error, MlflowException) else f"{type(error).__name__}: {error}"
    if "exactly one of the input fields" in message:
        return (
            "The body must be a JSON object with exactly one of dataframe_split, dataframe_records, inputs and "
            "instances: put the rows under one of these names."
        )
    if "Failed to convert column" not in message:  # there, only the part before "Error: " names the column
        message = message.rpartition("Error: ")[2].strip("'")
    return f"The input can't be read: {_shortened(message)}; {_SEE}."


def _shortened(message: str) -> str:
    """Return the first sentence of a message of MLflow or a model, short enough to quote."""
    return re.split(r"\.\s", first_sentence(Exception(_MLFLOW_PREAMBLE.sub("", message.strip()))))[0]
