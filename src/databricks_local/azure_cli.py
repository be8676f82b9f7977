"""An `az` for PATH, which gives the SDK tokens of the service principal."""

import json
import sys
from pathlib import Path

from databricks_local.identity import LOGIN_APP
from databricks_local.workspace import Workspace


def write_az(folder: Path, workspace: Workspace, *, signed_in: bool = True) -> Path:
    """Write a script `az` that is signed in as the service principal, or not at all, and return its path."""
    folder.mkdir(parents=True, exist_ok=True)
    script = folder / "az"
    token = {
        "accessToken": workspace.aad_token,
        "expiresOn": "2099-01-01 00:00:00.000000",
        "tokenType": "Bearer",
        "tenant": "7f1078d6-b20d-4a20-9d88-05a2f0d645a3",
    }
    account = {"user": {"name": workspace.client_id, "type": "servicePrincipal"}}
    script.write_text(
        f"#!{sys.executable}\n"
        "import json, sys\n"
        f"known = ({LOGIN_APP!r}, 'https://management.core.windows.net/')\n"
        "arguments = sys.argv[1:]\n"
        f"if not {signed_in}:\n"
        "    sys.exit(\"ERROR: Please run 'az login' to setup account.\")\n"
        "if arguments[:2] == ['account', 'show']:\n"
        f"    print({json.dumps(account)!r})\n"
        "elif 'get-access-token' in arguments and arguments[arguments.index('--resource') + 1] in known:\n"
        f"    print({json.dumps(token)!r})\n"
        "else:\n"
        "    sys.exit('ERROR: ' + ' '.join(arguments))\n",
        encoding="utf-8",
    )
    script.chmod(0o755)
    return script
