"""The tasks that this agent implements; the parts that are left out become notices of the run."""

import glob
import platform
import re
import shlex
import shutil
import sys
from collections import Counter
from collections.abc import Callable, Mapping
from pathlib import Path
from xml.etree import ElementTree

from packaging.specifiers import InvalidSpecifier, SpecifierSet

from azure_devops_local.agent.steps import StepAtWork
from kit_common.errors import UserError

Inputs = Mapping[str, str]


def perform(step: StepAtWork) -> None:
    """Execute a task, a `publish:` or a `download:` step."""
    written = {name.lower(): value for name, value in step.step.inputs.items()}
    # Scripts are expanded when they are run, and must not be expanded twice.
    scripts = {"script", "inlinescript"}
    expand = step.place.variables.expand
    inputs = {name: value if name in scripts else expand(value) for name, value in written.items()}
    if step.step.kind == "publish":
        _publish(step, {"targetpath": inputs["publish"], "artifact": inputs.get("artifact", "")})
        return
    if step.step.kind == "download":
        # Unlike the task, this step gives each artifact a folder of its own name.
        _download(step, {**inputs, "path": inputs["artifact"]})
        return
    TASKS[step.step.task](step, inputs)


def _bash(step: StepAtWork, inputs: Inputs) -> None:
    if inputs.get("targettype", "inline").lower() != "inline":
        raise UserError("Bash@3 runs only inline scripts here: set `targetType: inline`.")
    step.bash(inputs.get("script", ""), inputs.get("workingdirectory", ""), _is_true(inputs, "failonstderr"))


def _azure_cli(step: StepAtWork, inputs: Inputs) -> None:
    if inputs.get("scriptlocation", "inlineScript").lower() != "inlinescript":
        raise UserError("AzureCLI@2 runs only inline scripts here: set `scriptLocation: inlineScript`.")
    connection = inputs.get("azuresubscription", "")
    account = f" as {connection}" if connection else ""
    sentence = f"{step.entry.name}: the script ran without signing in to Azure{account}."
    step.say(f"##[warning]{sentence}")
    step.place.notice(sentence)
    step.bash(
        inputs.get("inlinescript", ""), inputs.get("workingdirectory", ""), _is_true(inputs, "failonstandarderror")
    )


def _use_python_version(step: StepAtWork, inputs: Inputs) -> None:
    required, version = inputs.get("versionspec", "3.x"), platform.python_version()
    spec = re.sub(r"\.[xX*]\b", "", required.strip())
    try:
        specifiers = SpecifierSet(f"=={spec}.*" if re.fullmatch(r"\d+(\.\d+)*", spec) else ",".join(spec.split()))
    except InvalidSpecifier as error:
        raise UserError(f"{required!r} is not a Python version: write 3.11, 3.x or >=3.11.") from error
    if not specifiers.contains(version, prereleases=True):
        raise UserError(
            f"The task needs Python {required}, and this agent runs on {version}: start it with that version."
        )
    python = Path(sys.base_prefix) / "bin" / f"python{sys.version_info.major}.{sys.version_info.minor}"
    step.say(f"Python {version}, which also runs this agent: {python}")
    if inputs.get("addtopath", "true").lower() == "true" and python.is_file():
        folder = step.place.work / "python"
        folder.mkdir(exist_ok=True)
        for name in ("python", "python3", python.name):
            # Not a link: a virtual environment made with a link would not find its standard library.
            (folder / name).write_text(f'#!/bin/sh\nexec {shlex.quote(str(python))} "$@"\n', encoding="utf-8")
            (folder / name).chmod(0o755)
        step.place.paths.insert(0, str(folder))


def _cache(step: StepAtWork, inputs: Inputs) -> None:
    sentence = f"{step.entry.name}: no cache is used here, and {inputs.get('path', '')} is unchanged."
    step.say(sentence)
    step.place.notice(sentence)
    if hit := inputs.get("cachehitvar"):
        step.place.variables.add({hit: "false"})


def _publish_test_results(step: StepAtWork, inputs: Inputs) -> None:
    if inputs.get("testresultsformat", "JUnit").lower() != "junit":
        raise UserError("PublishTestResults@2 reads only JUnit here: set `testResultsFormat: JUnit`.")
    folder = step.place.sources / inputs.get("searchfolder", "")
    patterns = inputs.get("testresultsfiles", "**/TEST-*.xml").split("\n")
    found = {
        folder / path
        for pattern in filter(None, map(str.strip, patterns))
        # Patterns may be absolute.
        for path in glob.glob(pattern, root_dir=folder, recursive=True, include_hidden=True)  # noqa: PTH207
    }
    if not found:
        sentence = f"No test results match {' '.join(patterns).strip()} in {folder}."
        if _is_true(inputs, "failtaskonmissingresultsfile"):
            raise UserError(sentence)
        step.warn(sentence)
        return
    cases: list[tuple[str, str]] = []
    for path in sorted(found):
        try:
            cases += _cases(path)
        except UserError as error:
            if _is_true(inputs, "failtaskonfailuretopublishresults"):
                raise
            step.warn(str(error))
    counts = Counter(result for result, _ in cases)
    for result in ("passed", "failed", "skipped"):
        step.place.run.tests[result] = step.place.run.tests.get(result, 0) + counts[result]
    step.say(f"{inputs.get('testruntitle', 'Tests')}: " + ", ".join(f"{n} {what}" for what, n in counts.items()))
    for result, name in cases:
        if result == "failed":
            step.say(f"##[error]The test {name} failed.")
            step.issue("error", f"The test {name} failed.")
    step.place.save()
    if counts["failed"] and _is_true(inputs, "failtaskonfailedtests"):
        step.fail(f"{counts['failed']} of {len(cases)} tests failed.")


def _cases(path: Path) -> list[tuple[str, str]]:
    """Return the result and the name of each test in a JUnit file."""
    try:
        root = ElementTree.parse(path).getroot()
    except (ElementTree.ParseError, OSError, ValueError) as error:
        raise UserError(
            f"{path} can't be read as JUnit test results ({error}): check the program that wrote it."
        ) from error
    found = []
    for case in root.iter("testcase"):
        children = {child.tag for child in case}
        result = "failed" if children & {"failure", "error"} else "skipped" if "skipped" in children else "passed"
        found.append((result, ".".join(filter(None, (case.get("classname"), case.get("name"))))))
    return found


def _publish(step: StepAtWork, inputs: Inputs) -> None:
    name = inputs["artifact"]
    if name in step.place.run.artifacts:
        raise UserError(f"This run has an artifact {name} already: choose another name.")
    source = step.place.sources / inputs.get("targetpath", str(step.place.work))
    if (source / ".artifactignore").exists():
        raise UserError(f"{source} has a file .artifactignore, which this agent does not implement: remove it.")
    step.place.keep_artifact(source, name)
    step.say(f"Published {source} as the artifact {name}.")


def _download(step: StepAtWork, inputs: Inputs) -> None:
    """Copy one artifact of this run into a folder, or all of them, each into a folder of its name."""

    def given(*names: str) -> str:
        return next((inputs[name] for name in names if inputs.get(name)), "")

    place, wanted = step.place, given("artifact", "artifactname")
    if wanted and wanted not in place.run.artifacts:
        known = ", ".join(place.run.artifacts) or "none"
        raise UserError(f"The artifact {wanted} was not found in this run, which has {known}: publish it before.")
    source = place.folder / "artifacts" / wanted
    target = place.work / given("path", "targetpath")
    found = {
        source / path
        for pattern in (given("patterns", "itempattern") or "**").split("\n")
        for path in glob.glob(pattern.strip(), root_dir=source, recursive=True, include_hidden=True)  # noqa: PTH207
    }
    files = sorted(path for path in found if path.is_file())
    target.mkdir(parents=True, exist_ok=True)
    for path in files:
        copy = target / path.relative_to(source)
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, copy)
    step.say(f"Downloaded {len(files)} files of {wanted or 'all artifacts'} into {target}.")


def _is_true(inputs: Inputs, name: str) -> bool:
    return inputs.get(name, "").lower() == "true"


TASKS: dict[str, Callable[[StepAtWork, Inputs], None]] = {
    "Bash@3": _bash,
    "AzureCLI@2": _azure_cli,
    "UsePythonVersion@0": _use_python_version,
    "Cache@2": _cache,
    "PublishTestResults@2": _publish_test_results,
    "PublishPipelineArtifact@1": _publish,
    "DownloadPipelineArtifact@2": _download,
}
"""What each task of `language.reading_steps.TASKS` does; other tasks are refused when the file is read."""
