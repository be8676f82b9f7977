"""Rights in Unity Catalog: held, missing, and the statement that grants them."""

from collections.abc import Callable, Iterable

from databricks.sdk import WorkspaceClient
from databricks.sdk.errors import NotFound, PermissionDenied

from workshop.core.errors import WorkshopError
from workshop.databricks.errors import explained
from workshop.databricks.sign_in import Identity

_NOT_IN_ALL = {"MANAGE", "EXTERNAL_USE_SCHEMA", "EXTERNAL_USE_LOCATION"}


class Rights:
    """The rights of one identity in the metastore of a workspace."""

    def __init__(self, client: WorkspaceClient, identity: Identity) -> None:
        self._client = client
        self._identity = identity
        self._names = {identity.principal, identity.name, *identity.groups, "account users"}
        self._owner: dict[str, Callable[[str], str | None]] = {
            "catalog": lambda name: client.catalogs.get(name).owner,
            "schema": lambda name: client.schemas.get(name).owner,
            "volume": lambda name: client.volumes.read(name).owner,
            "function": lambda name: client.registered_models.get(name).owner,
        }

    def require(self, kind: str, name: str, *privileges: str) -> None:
        """Require privileges on a catalog, a schema, a volume, or a function (a registered model is one).

        Raises:
            WorkshopError: one is missing (the sentence has the statement that grants it), or the workspace does not
                answer.
        """
        with explained(f"read the rights on the {kind} {name}"):
            try:
                held = self._held(kind, name)
                missing = [each for each in privileges if not _covers(held, each)]
                if missing and not self.owns(kind, name):
                    raise WorkshopError(
                        f"{self._who} does not have {self._listed(missing)}: {self._grant(missing, kind, name)}."
                    )
            except NotFound as error:
                raise WorkshopError(
                    f"there is no {kind} {name}, or {self._who} may not even see it: correct the name, or "
                    f"{self._grant(privileges, kind, name)}."
                ) from error
            except PermissionDenied as error:
                raise WorkshopError(
                    f"{self._who} may not see the rights on the {kind} {name}: {self._grant(privileges, kind, name)}."
                ) from error

    def owns(self, kind: str, name: str) -> bool:
        """Return whether the identity or one of its groups owns a thing, and so has every right on it."""
        with explained(f"find the owner of {name}"):
            return self._owner[kind](name) in self._names

    def may_manage(self, kind: str, name: str) -> bool:
        """Return whether the identity owns a thing or has MANAGE on it.

        Raises:
            WorkshopError: the workspace does not answer.
        """
        with explained(f"read the rights on the {kind} {name}"):
            return "MANAGE" in self._held(kind, name) or self.owns(kind, name)

    @property
    def _who(self) -> str:
        return f"{self._identity.name} ({self._identity.principal})"

    def _held(self, kind: str, name: str) -> set[str]:
        """Return the privileges on a thing, including inherited ones."""
        own = self._assigned(kind, name, self._identity.principal)
        # Privileges of a group are listed under the group's name.
        return own.union(*(self._assigned(kind, name, group) for group in self._identity.groups))

    def _assigned(self, kind: str, name: str, principal: str) -> set[str]:
        page = None
        found: set[str] = set()
        while True:
            listed = self._client.grants.get_effective(kind, name, principal=principal, max_results=0, page_token=page)
            for assignment in listed.privilege_assignments or []:
                found |= {each.privilege.value for each in assignment.privileges or [] if each.privilege}
            if not (page := listed.next_page_token):
                return found

    def _grant(self, privileges: Iterable[str], kind: str, name: str) -> str:
        if kind == "function":
            return f"let the owner of the model {name} give it that in Catalog Explorer"
        statement = f"GRANT {self._listed(privileges)} ON {kind.upper()} {name} TO `{self._identity.principal}`"
        return f"let the owner run {statement}"

    @staticmethod
    def _listed(privileges: Iterable[str]) -> str:
        return ", ".join(each.replace("_", " ") for each in privileges)


def _covers(held: set[str], privilege: str) -> bool:
    return privilege in held or ("ALL_PRIVILEGES" in held and privilege not in _NOT_IN_ALL)
