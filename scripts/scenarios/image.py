"""The image that the scenarios run: the program as it is on disk, on a Debian base of the machine's own release."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
from pathlib import Path

from .docker import BUILD_TIMEOUT_S, DockerError, docker, image_exists, labelled
from .tools import PROJECT_DIR, TARGET_DIR, ToolFailed

# Marks our images with the build folder they came from, so that old ones of this checkout can be recognised. Those of
# another checkout may be in use there, and are not ours to remove.
IMAGE_LABEL = "lanspread.scenarios.image"
REPOSITORY = "lanspread-scenarios"

PROGRAM = "lanspread-peer-cli"
DOCKERFILE = PROJECT_DIR / "docker" / "Dockerfile"


def program_path() -> Path:
    """LANSPREAD_PEER_CLI names a program; otherwise the release build, or the one LANSPREAD_PROFILE asks for."""
    named = os.environ.get("LANSPREAD_PEER_CLI")
    if named:
        return Path(named).resolve()
    return TARGET_DIR / _profile() / PROGRAM


def _profile() -> str:
    profile = os.environ.get("LANSPREAD_PROFILE") or "release"
    if profile not in ("release", "debug"):
        raise ToolFailed(f"LANSPREAD_PROFILE is {profile!r}; only release and debug are known")
    return profile


def build_program() -> None:
    command = ["cargo", "build", "--package", PROGRAM]
    if _profile() == "release":
        command.append("--release")
    try:
        status = subprocess.run(command, cwd=PROJECT_DIR, stdin=subprocess.DEVNULL).returncode
    except FileNotFoundError as error:
        raise ToolFailed("cargo is not here; install Rust, or name a program in LANSPREAD_PEER_CLI") from error
    if status != 0:
        raise ToolFailed(f"{' '.join(command)}: exit {status}")


def prepare_image(work_dir: Path, *, rebuild: bool) -> str:
    """The tag of an image that holds the program on disk. A tag is a digest of what is in the image, so an image is
    never older than the program that it claims to hold."""
    program = program_path()
    if "LANSPREAD_PEER_CLI" not in os.environ and (rebuild or not program.exists()):
        build_program()
    if not program.is_file():
        raise ToolFailed(f"there is no program at {program}")
    base = base_image()
    contents = (program.read_bytes(), DOCKERFILE.read_bytes(), base.encode(), str(TARGET_DIR).encode())
    digest = hashlib.sha256(b"".join(contents)).hexdigest()[:16]
    tag = f"{REPOSITORY}:{digest}"
    if rebuild or not image_exists(tag):
        _build_image(tag, base, program, work_dir / "image", rebuild)
        _remove_other_images(tag)
    return tag


def base_image() -> str:
    """LANSPREAD_BASE_IMAGE names a base; otherwise one is pulled or made once and kept under our own name."""
    named = os.environ.get("LANSPREAD_BASE_IMAGE")
    if named:
        return named
    script = PROJECT_DIR / "docker" / "make_base.sh"
    # A script that makes something else makes another image.
    recipe = hashlib.sha256(script.read_bytes()).hexdigest()[:8]
    tag = f"{REPOSITORY}-base:{_release_name()}-{recipe}"
    if not image_exists(tag):
        done = subprocess.run([str(script), tag], stdin=subprocess.DEVNULL, capture_output=True, text=True)
        if done.returncode != 0:
            raise ToolFailed(done.stderr.strip())
        print(done.stdout.strip(), flush=True)
    return tag


def _release_name() -> str:
    fields = dict(line.split("=", 1) for line in Path("/etc/os-release").read_text().splitlines() if "=" in line)
    return (fields.get("VERSION_CODENAME") or fields.get("ID") or "unknown").strip('"')


def _build_image(tag: str, base: str, program: Path, context: Path, rebuild: bool) -> None:
    context.mkdir(parents=True)
    shutil.copy2(program, context / PROGRAM)
    shutil.copy2(DOCKERFILE, context / "Dockerfile")
    arguments = ["build", "--force-rm", "--build-arg", f"BASE={base}", "--label", f"{IMAGE_LABEL}={TARGET_DIR}"]
    if rebuild:
        arguments.append("--no-cache")
    docker(*arguments, "--tag", tag, str(context), timeout_s=BUILD_TIMEOUT_S)
    shutil.rmtree(context)


def _remove_other_images(current: str) -> None:
    """One image of a few hundred megabytes for every program ever built would fill a disk."""
    current_id = docker("image", "inspect", "--format", "{{.Id}}", current).strip()
    for id, target_dir in labelled("image", IMAGE_LABEL):
        if target_dir != str(TARGET_DIR) or current_id.startswith(f"sha256:{id}"):
            continue
        try:
            # By id, which also removes what a rebuild under the same tag left without a name.
            docker("image", "rm", id)
        except DockerError:
            pass  # another run is using it
