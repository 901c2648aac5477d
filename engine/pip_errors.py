"""What pip and the system say when an installation fails, in the artist's words, with the one thing to do. Standard
library only."""

from __future__ import annotations

import platform
import re
import sys

HERE = f"Python {sys.version_info.major}.{sys.version_info.minor} on {platform.system()} {platform.machine()}"

KNOWN = (
    (
        r"No space left on device|\[Errno 28\]|WinError 112|not enough space on the disk|Disk quota exceeded",
        "The disk is full.",
        "Make room, or choose a folder on another disk in the preferences; then set up again: it goes on.",
    ),
    (
        r"WinError 225|virus",
        "A virus scanner has blocked a file.",
        "Add the set-up's folder to its exceptions, then set up again: it goes on.",
    ),
    (
        r"WinError 32|being used by another process",
        "A file was locked, most likely by a virus scanner that was reading it, or by another Blender.",
        "Close other Blenders, wait a moment and set up again: it goes on.",
    ),
    (
        r"Long Path support|File name too long|\[Errno 36\]|WinError 206",
        "A path has become too long for this system.",
        "Choose a shorter folder in the preferences, such as C:\\Pentimento, or switch on long paths in Windows.",
    ),
    (
        r"ProxyError|Cannot connect to proxy|Tunnel connection failed|407 Proxy Authentication",
        "The proxy could not be reached, or refused.",
        "Set HTTPS_PROXY or pip's own `proxy` to the proxy of your network (http://user:password@host:port), restart "
        "Blender, and set up again; or use a folder of wheels.",
    ),
    (
        r"CERTIFICATE_VERIFY_FAILED|SSLError|SSL: ",
        "The package index could not be trusted: its certificate was not accepted.",
        "Set the computer's clock right. In a company network set pip's `cert` to its certificate, or use a folder of "
        "wheels.",
    ),
    (
        r"NewConnectionError|ConnectTimeoutError|Failed to establish a new connection|Temporary failure in name"
        r"|getaddrinfo failed|Network is unreachable|Connection refused|ReadTimeoutError|Read timed out"
        r"|Connection(ResetError|.* reset)|RemoteDisconnected|IncompleteRead|ConnectionError|Connection broken",
        "The package index could not be reached, or the connection broke off.",
        "Check the network and set up again: it goes on where it stopped. Without a network use a folder of wheels.",
    ),
    (
        r"401 Client Error|403 Client Error|401 Error|403 Error",
        "The package index refused.",
        "Check the package index in the preferences and pip's own configuration.",
    ),
    (
        r"BadZipFile|has an invalid wheel|is not a valid wheel|Wheel .* is invalid|DO NOT MATCH THE HASHES"
        r"|zlib\.error|Bad magic number|not a zip file|Bad CRC",
        "A downloaded file is damaged.",
        "Set up again: it is fetched anew. In a folder of wheels, replace it.",
    ),
    (
        r"Permission denied|\[Errno 13\]|\[Errno 1\]|WinError 5\b|Access is denied|Read-only file system|\[Errno 30\]"
        r"|Operation not permitted",
        "A file could not be written: access is not allowed.",
        "Choose a folder of your own in the preferences. On macOS allow Blender to change files; a virus scanner may "
        "need an exception.",
    ),
    (
        r"Exec format error|\[Errno 8\]|Bad CPU type|WinError 193",
        "The Python there was made for another kind of processor.",
        "Remove the environment in the preferences and set it up again with a Blender for this computer.",
    ),
    (
        r"ResolutionImpossible|conflicting dependencies|has requirement|which is not installed",
        "The packages do not go together.",
        "Remove the environment and set it up again; if it stays, copy the report and send it to us.",
    ),
    (
        r"MemoryError|ended with code -9\b",
        "The memory ran out.",
        "Close other programs and set up again: it goes on.",
    ),
    (
        r"Nothing for \d+ s: given up",
        "Nothing came for a quarter of an hour.",
        "Check the network and set up again: it goes on where it stopped.",
    ),
    (
        r"No module named '?(venv|ensurepip|pip)\b|ensurepip is not available",
        "This Python cannot make environments: it came without venv and pip.",
        "Install its package `python3-venv`, or use Blender as its makers publish it.",
    ),
)
"""Pattern, what happened, what to do. The first that fits counts: without a network pip also says that nothing fits."""
MISSING = re.compile(r"No matching distribution found for ([\w.\-]+(?:\[[\w,]+\])?(?:[=<>!~]=?[\w.]+)?)")


CONSTRAINED = re.compile(r"The conflict is caused by:(?:\n .*)*\(constraint\) (\S+)")
"""What another package needs and our pin allows, but nobody has: pip calls that a conflict."""


def explain(log: str, offline: bool) -> tuple[str, str]:
    """What happened and what to do. offline: pip was to look into a folder of wheels only."""
    if conflicting := CONSTRAINED.search(log):
        return _missing(conflicting[1], offline)
    for pattern, message, fix in KNOWN:
        if re.search(pattern, log):
            return message, fix
    if found := MISSING.search(log):
        return _missing(found[1], offline)
    errors = [line.removeprefix("ERROR:").strip() for line in log.splitlines() if line.startswith("ERROR")]
    last = errors[-1] if errors else (log.splitlines() or ["nothing was said"])[-1]
    return f"A package could not be installed: {last[:200]}", "Set up again; if it stays, copy the report and send it."


def _missing(name: str, offline: bool) -> tuple[str, str]:
    if offline:
        return (
            f"The folder of wheels has no {name} for {HERE}.",
            "Fetch it, with all that it needs, on a computer with a network, the same system and the same Python: "
            f'pip download --only-binary=:all: "{name}"',
        )
    return (
        f"The package index has no {name} for {HERE}.",
        "Use a Blender with another Python (3.11: Blender 4.2 to 5.0), or enter a package index that has it.",
    )
