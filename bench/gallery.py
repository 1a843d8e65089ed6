"""The files of models that pyserve knows by name."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path


def gallery_file(name: str = "") -> Path:
    """The file of a model of the gallery, of the default one without a name; got if need be.

    Raises LookupError, after what `pyserve pull` said about it.
    """
    command = [str(Path(sys.executable).with_name("pyserve")), "pull", *([name] if name else [])]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False)
    if done.returncode != 0:
        raise LookupError(f"no model {name or 'by default'}: see above")
    return Path(done.stdout.strip().splitlines()[-1])
