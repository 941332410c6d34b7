"""Makes an environment for each peer from its requirements.txt: python benchmarks/serving/peers/install.py FOLDER

An environment with the same requirements is kept. One that cannot be made is reported and skipped: the benchmark
measures the peers that are installed. Needs Python 3.11 or 3.12, for which all four publish packages.
"""

import shutil
import subprocess
import sys
import venv
from pathlib import Path

HERE = Path(__file__).resolve().parent
TOOLS = "tools"
PEERS = ("litserve", "bentoml", "mlserver", "triton")
STAMP = "installed.txt"
INSTALL_SECONDS = 900


def install(name: str, requirements: str, folder: Path) -> bool:
    """Makes the environment folder/name; returns whether it exists afterwards."""
    target = folder / name
    stamp = target / STAMP
    if stamp.exists() and stamp.read_text() == requirements:
        return True
    shutil.rmtree(target, ignore_errors=True)
    print(f"installing {name} into {target}", flush=True)
    venv.create(target, with_pip=True, symlinks=True)
    wanted = target / "requirements.txt"
    wanted.write_text(requirements)
    command = [target / "bin" / "python", "-m", "pip", "--disable-pip-version-check", "--quiet", "install"]
    try:
        subprocess.run([*map(str, command), "-r", str(wanted)], check=True, timeout=INSTALL_SECONDS)
    except (subprocess.CalledProcessError, subprocess.TimeoutExpired) as error:
        print(f"{name} cannot be installed: {error}", file=sys.stderr)
        return False
    stamp.write_text(requirements)
    return True


def main() -> None:
    """Installs k6 and all peers."""
    folder = Path(sys.argv[1]).resolve()
    install(TOOLS, (HERE / "tools.txt").read_text(), folder)
    for name in PEERS:
        install(name, (HERE / name / "requirements.txt").read_text(), folder)


if __name__ == "__main__":
    main()
