"""The generators of clients: how each generates and compiles one, and how the program that uses it is run."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import files, version
from pathlib import Path

HERE = Path(__file__).resolve().parent
PROGRAMS = HERE / "programs"
NODE_FILES = ("package.json", "package-lock.json")
NODE_RELEASE = 20
"""Oldest release of Node.js that the packages run on."""
JAVA_LIBRARIES = ("httpclient", "httpcore", "httpmime", "commons-logging", "jakarta-annotation-api")
"""Debian's packages of what a Java client needs beside Jackson: libhttpmime-java, libjakarta-annotation-api-java."""
DEBIAN_JARS = Path("/usr/share/java")


class BuildError(Exception):
    """A client cannot be generated or compiled; the message is the end of what the tool said."""


@dataclass(frozen=True)
class Generator:
    """A generator of clients in one language."""

    name: str
    package: str
    """Its package, of Python or of Node.js."""
    language: str
    tools: tuple[str, ...]
    """Programs that it needs on PATH."""
    build: Callable[[Path, Path], list[str]]
    """Generates and compiles a client of a document in a folder; returns the command that runs its program."""

    @property
    def version(self) -> str:
        """The installed version of the package."""
        node = json.loads((HERE / "package.json").read_text())["dependencies"]
        return str(node[self.package] if self.package in node else version(self.package))

    @property
    def missing(self) -> list[str]:
        """The programs that are not on PATH, or too old."""
        missing = [tool for tool in self.tools if shutil.which(tool) is None]
        if "node" in self.tools and "node" not in missing and _node_release() < NODE_RELEASE:
            missing.append(f"node {NODE_RELEASE}")
        return missing


def _node_release() -> int:
    said = subprocess.run(["node", "--version"], capture_output=True, text=True, check=True).stdout
    return int(said.removeprefix("v").partition(".")[0])


def run(*command: object, cwd: Path | None = None) -> None:
    """Runs a command. Raises BuildError if it fails."""
    search = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    done = subprocess.run(
        [*map(str, command)], cwd=cwd, env={**os.environ, "PATH": search}, capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise BuildError((done.stdout + done.stderr)[-2000:])


def install_node_packages(folder: Path) -> Path:
    """Installs package-lock.json into `folder`, unless it is there already; returns the folder of its commands."""
    folder.mkdir(parents=True, exist_ok=True)
    if [(folder / name).read_bytes() for name in NODE_FILES if (folder / name).exists()] != [
        (HERE / name).read_bytes() for name in NODE_FILES
    ]:
        for name in NODE_FILES:
            shutil.copy(HERE / name, folder)
        run("npm", "ci", "--no-audit", "--no-fund", cwd=folder)
    return folder / "node_modules" / ".bin"


def _openapi_python_client(document: Path, folder: Path) -> list[str]:
    client = folder / "ganclient"
    run(sys.executable, "-m", "openapi_python_client", "generate", "--path", document, "--output-path", client,
        "--meta", "none")  # fmt: skip
    return _python(folder, "openapi_python_client.py")


def _jar() -> Path:
    (jar,) = (file for file in files("openapi-generator-cli") or () if file.suffix == ".jar")
    return Path(str(jar.locate()))


def _openapi_generator(language: str, document: Path, folder: Path, *options: str) -> None:
    run("java", "-jar", _jar(), "generate", "-g", language, "-i", document, "-o", folder, *options)


def _generated_python(document: Path, folder: Path) -> list[str]:
    _openapi_generator("python", document, folder, "--package-name", "ganclient")
    return _python(folder, "openapi_generator_python.py")


def _python(folder: Path, program: str) -> list[str]:
    run(sys.executable, "-m", "compileall", "-q", folder / "ganclient")
    shutil.copy(PROGRAMS / program, folder / "main.py")
    return [sys.executable, str(folder / "main.py")]


def _openapi_fetch(document: Path, folder: Path) -> list[str]:
    commands = install_node_packages(folder.parent / "node")
    run(commands / "openapi-typescript", document, "-o", folder / "ganclient.ts")
    return _typescript(folder, "openapi_fetch.ts", commands)


def _typescript_fetch(document: Path, folder: Path) -> list[str]:
    commands = install_node_packages(folder.parent / "node")
    options = "--additional-properties=importFileExtension=.js"
    _openapi_generator("typescript-fetch", document, folder / "ganclient", options)
    return _typescript(folder, "openapi_generator_fetch.ts", commands)


def _typescript(folder: Path, program: str, commands: Path) -> list[str]:
    shutil.copy(PROGRAMS / program, folder / "main.ts")
    for name in ("tsconfig.json", "package.json"):
        shutil.copy(HERE / name, folder)
    (folder / "node_modules").symlink_to(commands.parent)
    run(commands / "tsc", "-p", folder)
    return ["node", str(folder / "main.js")]


def _go(document: Path, folder: Path) -> list[str]:
    options = "--additional-properties=packageName=ganclient,withGoMod=false"
    _openapi_generator("go", document, folder / "ganclient", options)
    shutil.rmtree(folder / "ganclient" / "test")  # its tests need a package that is not installed
    shutil.copy(PROGRAMS / "openapi_generator.go", folder / "main.go")
    (folder / "go.mod").write_text("module clients\n\ngo 1.19\n")
    run("go", "build", "-o", "main", ".", cwd=folder)
    return [str(folder / "main")]


def _java(document: Path, folder: Path) -> list[str]:
    packages = "invokerPackage=ganclient,apiPackage=ganclient.api,modelPackage=ganclient.model"
    options = f"--additional-properties=useJakartaEe=true,openApiNullable=false,{packages}"
    _openapi_generator("java", document, folder / "client", "--library", "native", options)
    libraries = [_jar(), *(DEBIAN_JARS / f"{name}.jar" for name in JAVA_LIBRARIES)]
    # the generator's own jar holds all of Jackson
    path, program = os.pathsep.join(map(str, libraries)), "OpenapiGenerator"
    sources = sorted((folder / "client" / "src" / "main").rglob("*.java"))
    run("javac", "-nowarn", "-d", folder / "classes", "-cp", path, *sources, PROGRAMS / f"{program}.java")
    return ["java", "-cp", os.pathsep.join([path, str(folder / "classes")]), program]


GENERATORS = (
    Generator("openapi-python-client", "openapi-python-client", "Python", (), _openapi_python_client),
    Generator(
        "openapi-typescript with openapi-fetch", "openapi-typescript", "TypeScript", ("node", "npm"), _openapi_fetch
    ),
    Generator("openapi-generator python", "openapi-generator-cli", "Python", ("java",), _generated_python),
    Generator(
        "openapi-generator typescript-fetch",
        "openapi-generator-cli",
        "TypeScript",
        ("java", "node", "npm"),
        _typescript_fetch,
    ),
    Generator("openapi-generator go", "openapi-generator-cli", "Go", ("java", "go"), _go),
    Generator("openapi-generator java, library native", "openapi-generator-cli", "Java", ("java", "javac"), _java),
)
