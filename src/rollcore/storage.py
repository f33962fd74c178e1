"""Files in object storage: fetched into a cache, and published when they are whole.

This is the only module that imports fsspec. Everything else works on local files: a command fetches what it reads and
publishes what it wrote. Credentials come from the environment alone, as each service's own tools read them.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from rollcore.console import Progress, printable, show_as
from rollcore.errors import RollcoreError, StorageError

__all__ = [
    "Listing",
    "Mirror",
    "check_there",
    "fetch",
    "fetch_all",
    "is_folder",
    "is_remote",
    "is_there",
    "matching",
    "mirrored",
    "origin",
    "publish",
    "published",
    "remove",
]

# How to install what reads each kind of address. memory:// is fsspec's own, for tests.
_EXTRAS = {"az": "azure", "abfs": "azure", "abfss": "azure", "s3": "s3", "gs": "gcs", "gcs": "gcs", "hf": "hf"}
_PROTOCOLS = (*_EXTRAS, "memory")
_BEGINNINGS = tuple(f"{protocol}://" for protocol in _PROTOCOLS)
_ADDRESS = rf"({'|'.join(_PROTOCOLS)})://(?P<rest>.*)"
# Variables whose values must not be printed: AZURE_STORAGE_CONNECTION_STRING, AWS_SECRET_ACCESS_KEY, HF_TOKEN …
_SECRET_NAME = "KEY|SECRET|TOKEN|PASSWORD|CONNECTION_STRING|CREDENTIAL"
_ORIGIN = "address.txt"
AT_ONCE = 32
"""Files that are fetched or published at the same time: what counts is the time that storage takes to answer."""

_LATEST = ("config.json",)  # of a folder, what others look for first is published last


class Found(NamedTuple):
    """What storage says of a file.

    Attributes
    ----------
    path, below
        Its path there, and its name below the folder that was listed ("" for a file by itself).
    mark
        What is another after a change.
    size
        In bytes.
    time_ns
        When it was changed, None where storage does not say.
    """

    path: str
    below: str
    mark: str
    size: int
    time_ns: int | None


def is_remote(path: object) -> bool:
    """Say whether a path is an address in storage: ``az://``, ``s3://``, ``gs://``, ``hf://`` or ``memory://``.

    Examples
    --------
    >>> is_remote("az://music/out.h5"), is_remote("out.h5"), is_remote("http://a.b/out.h5")
    (True, False, False)
    """
    return isinstance(path, str) and path.startswith(_BEGINNINGS)


def cache_folder() -> Path:
    """Return the folder of fetched files: ``ROLLCORE_CACHE``, or ``rollcore`` among the user's caches."""
    if chosen := os.environ.get("ROLLCORE_CACHE"):
        return Path(chosen)
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "rollcore"


def origin(path: str | os.PathLike[str]) -> str:
    """Return the address that a file or folder of the cache was fetched from; any other path as it is."""
    try:
        local, cache = Path(path).resolve(), cache_folder().resolve()
        if cache in local.parents:
            key, _, *below = local.relative_to(cache).parts
            return "/".join([(cache / key / _ORIGIN).read_text(encoding="utf-8"), *below])
    except (OSError, ValueError):  # ValueError: the folder of a fetched copy itself
        pass
    return os.fspath(path)


def is_there(path: str | os.PathLike[str]) -> bool:
    """Say whether a file or folder is at a path or an address.

    Raises
    ------
    StorageError
        When storage cannot be read.
    """
    if not is_remote(path):
        return os.path.exists(path)
    address = str(path).rstrip("/")
    with _one_line(address):
        system, remote = _opened(address)
        return bool(system.exists(remote))


def check_there(address: str) -> None:
    """Raise `StorageError` unless a file or folder is at an address."""
    with _one_line(address):
        system, path = _opened(address)
        if not system.exists(path):
            raise FileNotFoundError


def matching(address: str) -> list[str]:
    """Return the addresses that one with wildcards stands for, in order; the address itself where it has none.

    Raises
    ------
    StorageError
        When nothing is called so, or storage cannot be read.
    """
    if not re.search(r"[*?\[]", address):
        return [address]
    with _one_line(address):
        system, path = _opened(address)
        found = sorted(system.glob(path))
        if not found:
            raise FileNotFoundError
    protocol = address.partition("://")[0]
    return [f"{protocol}://{name.lstrip('/')}" for name in found]


def fetch(path: str | os.PathLike[str], *, wanted: Callable[[str], bool] | None = None, quiet: bool = False) -> str:
    """Return the local copy of what is at an address, fetched unless the cache has it; a local path as it is.

    The cache goes by address and entity tag, so what was changed since is fetched again. A copy has the name that it
    has in storage, and takes its place when it is whole.

    Parameters
    ----------
    path
        A local path, or the address of a file or folder.
    wanted
        Which files of a folder to fetch, by their names; all when not given.
    quiet
        Show no progress.

    Raises
    ------
    StorageError
        When it is not there or cannot be read; the message names the address and the remedy.
    """
    if not is_remote(path):
        return os.fspath(path)
    address = str(path).rstrip("/")
    with _one_line(address):
        system, remote = _opened(address)
        files = _listed(system, remote, wanted)
        place = cache_folder() / _key(address, [(file.below, file.mark) for file in files])
        if not (place / _ORIGIN).exists():
            _download(system, files, place, address, quiet)
    local = os.fspath(place / _name(address))
    show_as(local, address)
    return local


class Listing:
    """A folder in storage whose files are fetched when they are asked for, each once.

    Parameters
    ----------
    address
        Of the folder.
    wanted
        Which files to list, by their names.

    Attributes
    ----------
    files : dict
        What storage says of each file, by the path that its copy has or will have.

    Raises
    ------
    StorageError
        When it is not there or cannot be read.
    """

    def __init__(self, address: str, wanted: Callable[[str], bool] | None = None) -> None:
        self._address = address.rstrip("/")
        with _one_line(self._address):
            self._system, remote = _opened(self._address)
            place = cache_folder() / _key(self._address)
            found = _listed(self._system, remote, wanted)
            place.mkdir(parents=True, exist_ok=True)
            (place / _ORIGIN).write_text(self._address, encoding="utf-8")
        self.files = {os.fspath(place / _key(file.mark)[:16] / file.below): file for file in found}

    def bring(self, paths: Sequence[str]) -> None:
        """Fetch those of some files whose copies are not there, several at once; a copy is there when it is whole.

        Raises
        ------
        StorageError
            When one cannot be fetched.
        """

        def fetched(path: str) -> None:
            part = f"{path}.{os.getpid()}-{threading.get_ident()}.part"
            os.makedirs(os.path.dirname(path), exist_ok=True)
            try:
                _get(self._system, self.files[path], Path(part))
                os.replace(part, path)
            finally:
                with contextlib.suppress(OSError):
                    os.unlink(part)

        with _one_line(self._address):
            for _ in _at_once(fetched, [(path,) for path in paths if not os.path.exists(path)]):
                pass


def is_folder(address: str) -> bool:
    """Say whether there is a folder, or something like it, at an address.

    Raises
    ------
    StorageError
        When nothing is there, or storage cannot be read.
    """
    with _one_line(address):
        system, path = _opened(address.rstrip("/"))
        return bool(system.info(path)["type"] != "file")


def fetch_all(paths: Sequence[str]) -> list[str]:
    """Return the local copies of several files, fetched at the same time; local paths as they are.

    Raises
    ------
    StorageError
        As :func:`fetch`.
    """
    return list(_at_once(lambda path: fetch(path, quiet=True), [(path,) for path in paths]))


def remove(folder: str) -> None:
    """Remove a folder with all that is in it, here or in storage, as far as that goes."""
    if not is_remote(folder):
        _remove_folder(folder)
        return
    address = folder
    with contextlib.suppress(StorageError), _one_line(address):
        system, path = _opened(address)
        system.rm(path, recursive=True)


def publish(local: str | os.PathLike[str], address: str, *, quiet: bool = False) -> None:
    """Copy a file, or every file of a folder, to an address; each is there when it is whole.

    Raises
    ------
    StorageError
        When it cannot be written.
    """
    Mirror(local, address).push(quiet=quiet)


@contextlib.contextmanager
def published(target: str | os.PathLike[str], *, keep: Sequence[str] = (), quiet: bool = False) -> Iterator[str]:
    """Give a local path to write to, and publish what stands there at the end of the block; a local path is itself.

    When publishing fails the file stays where it was written, and the message says where.

    Parameters
    ----------
    target
        A local path, or an address.
    keep
        Endings of the address: what is there before is fetched to the local path with this ending, and what stands
        there in the end is published too.
    quiet
        Show no progress.

    Raises
    ------
    StorageError
        Before the block when storage cannot be written to, or after it.
    """
    if not is_remote(target):
        yield os.fspath(target)
        return
    address = str(target).rstrip("/")
    _check_writable(address)
    folder = _new_folder(cache_folder() / "outgoing")
    local = os.path.join(folder, _name(address))
    try:
        for ending in keep:
            if is_there(address + ending):
                import shutil

                shutil.copyfile(fetch(address + ending, quiet=quiet), local + ending)
        yield local
    except RollcoreError as error:
        _remove_folder(folder)
        error.args = (str(error).replace(local, address),)
        raise
    except BaseException:
        _remove_folder(folder)
        raise
    if os.path.lexists(local):
        try:
            for ending in dict.fromkeys(("", *keep)):
                if os.path.lexists(local + ending):
                    publish(local + ending, address + ending, quiet=quiet)
        except StorageError as error:
            raise StorageError(f"{error}; what was written is kept in {local}") from None
    _remove_folder(folder)


@contextlib.contextmanager
def mirrored(target: str | os.PathLike[str], *, resume: bool = False, overwrite: bool = False) -> Iterator[str]:
    """Give a local folder to work in, and push what changes in it to an address; a local folder is itself.

    Parameters
    ----------
    target
        A local folder, or an address.
    resume
        Begin with a copy of what is at the address.
    overwrite
        Whether something may be there without that.

    Raises
    ------
    StorageError
        When something is there and is neither to go on nor to be replaced; when storage cannot be read or written.
    """
    if not is_remote(target):
        yield os.fspath(target)
        return
    address = str(target).rstrip("/")
    with _one_line(address):
        system, path = _opened(address)
        if system.exists(path) and not (resume or overwrite):
            raise StorageError(f"{address}: is there already: choose --resume, --overwrite or another name")
    folder = Path(_new_folder(cache_folder() / "outgoing"), _name(address))
    if resume:
        import shutil

        shutil.copytree(fetch(address), folder)
    try:
        with Mirror(folder, address).following():
            yield os.fspath(folder)
    except StorageError as error:
        kept = f"; what was written is kept in {folder}" if folder.exists() else ""
        raise StorageError(f"{error}{kept}") from None
    except RollcoreError as error:  # of the block; what it wrote is at the address
        _remove_folder(folder.parent)
        error.args = (str(error).replace(os.fspath(folder), address),)
        raise
    _remove_folder(folder.parent)


class Mirror:
    """A file or folder whose changes are pushed to an address, again and again.

    Parameters
    ----------
    local
        A file, or a folder that grows.
    address
        Where its copy is.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     _ = Path(folder, "a.txt").write_text("one")
    ...     mirror = Mirror(folder, "memory://mirror")
    ...     mirror.push(quiet=True), mirror.push(quiet=True)
    (1, 0)
    """

    def __init__(self, local: str | os.PathLike[str], address: str) -> None:
        self._local = Path(local)
        self._address = address.rstrip("/")
        self._pushed: dict[Path, tuple[int, int]] = {}

    def push(self, *, quiet: bool = False) -> int:
        """Push the files that are new or changed, and return how many; names that begin with a dot stay.

        Raises
        ------
        StorageError
            When one cannot be written; the ones before it are there.
        """
        with _one_line(self._address):
            system, remote = _opened(self._address)
            changed = [(path, mark) for path, mark in self._files() if self._pushed.get(path) != mark]
            with Progress("MB sent") as progress:
                done = 0.0

                def put(path: Path, mark: tuple[int, int]) -> tuple[Path, tuple[int, int]]:
                    target = remote if path == self._local else f"{remote}/{path.relative_to(self._local).as_posix()}"
                    system.put_file(os.fspath(path), target)
                    self._pushed[path] = mark
                    return path, mark

                latest = [pair for pair in changed if pair[0].name in _LATEST]
                for group in ([pair for pair in changed if pair not in latest], latest):
                    for path, mark in _at_once(put, group):
                        done += mark[0] / 1e6
                        if not quiet:
                            progress(round(done), printable(path.name))
            system.invalidate_cache()
        return len(changed)

    @contextlib.contextmanager
    def following(self, seconds: float = 5.0) -> Iterator[None]:
        """Push what changes while a block runs, from a thread, and what is left at its end.

        Storage that fails meanwhile does not stop the block; only the push at the end may raise.

        Parameters
        ----------
        seconds
            How often to look.

        Raises
        ------
        StorageError
            Before the block when storage cannot be written to; at its end when the last push fails.
        """
        _check_writable(self._address)
        ended = threading.Event()

        def follow() -> None:
            while not ended.wait(seconds):
                with contextlib.suppress(StorageError, OSError):  # a file may be replaced while it is looked at
                    self.push(quiet=True)

        thread = threading.Thread(target=follow, name="rollcore-storage", daemon=True)
        thread.start()
        try:
            yield
        finally:
            ended.set()
            thread.join()
            self.push()

    def _files(self) -> list[tuple[Path, tuple[int, int]]]:
        """Return the files with their size and time."""
        if self._local.is_dir():
            found = [path for path in sorted(self._local.rglob("*")) if path.is_file() and not _hidden(path.name)]
            found.sort(key=lambda path: path.name in _LATEST)
        elif not self._local.exists():
            found = []
        else:
            found = [self._local]
        marks = [(path, path.stat()) for path in found]
        return [(path, (status.st_size, status.st_mtime_ns)) for path, status in marks]


def _hidden(name: str) -> bool:
    return name.startswith(".")


def _name(address: str) -> str:
    """Return the last part of an address, which a copy is called by."""
    name = address.rstrip("/").rpartition("/")[2]
    if name in ("", ".", "..") or "\0" in name or "\\" in name:
        raise StorageError(f"{printable(address)}: names no file or folder; give one, such as {address}/out.h5")
    return name


def _opened(address: str) -> tuple[Any, str]:
    """Return the file system of an address and the path in it."""
    match = re.fullmatch(_ADDRESS, address, re.DOTALL)
    if match is None or not match["rest"]:
        shown = f"{address}//" if address.endswith(":") else address
        raise StorageError(f"{shown}: names no container; give one, such as az://music/out.h5")
    if re.search(r"[@?]", match["rest"].partition("/")[0]) or re.search(r"[?&]sig=|:[^/]*@", match["rest"]):
        protocol = match[1]
        raise StorageError(f"{protocol}://…: an address with a key or a signature in it: put them into the environment")
    try:
        from fsspec.core import url_to_fs
    except ImportError:
        raise StorageError(f"{printable(address)}: needs fsspec: pip install {_extra(match[1])}") from None
    options: dict[str, Any] = {}
    if _EXTRAS.get(match[1]) == "azure":
        # Without a key in the environment the default chain of credentials: a login, a managed identity.
        options["anon"] = os.environ.get("AZURE_STORAGE_ANON", "").lower() in ("1", "true")
    if _EXTRAS.get(match[1]) == "gcs":
        import logging

        # Without credentials it warns at each request that it cannot tell the kind of the bucket.
        logging.getLogger("gcsfs").setLevel(logging.ERROR)
    system, path = url_to_fs(address, use_listings_cache=False, skip_instance_cache=True, **options)
    return system, path.rstrip("/")


def _check_writable(address: str) -> None:
    """Raise unless the container is there: better before an hour's work than after it."""
    with _one_line(address):
        system, path = _opened(address)
        container = path.lstrip("/").partition("/")[0]
        if not address.startswith("memory:") and not system.exists(container):
            raise FileNotFoundError


def _listed(system: Any, remote: str, wanted: Callable[[str], bool] | None) -> list[Found]:
    """Return the files at a path."""
    info = system.info(remote)
    if info["type"] == "file":
        return [_found(remote, "", info)]
    found = []
    for path, entry in sorted(system.find(remote, detail=True).items()):
        below = path[len(remote) :].lstrip("/") if path.startswith(remote) else path
        parts = below.split("/")
        if ".." in parts or "\\" in below:
            raise StorageError(f"{printable(path)}: not a name that a local file can have")
        if entry["type"] == "file" and below and (wanted is None or wanted(parts[-1])):
            found.append(_found(path, below, entry))
    if not found:
        raise FileNotFoundError
    return found


def _found(path: str, below: str, info: dict[str, Any]) -> Found:
    return Found(path, below, _mark(info), int(info.get("size") or 0), _time_ns(info))


def _time_ns(info: dict[str, Any]) -> int | None:
    """Return when a file was last changed, where storage says so."""
    for key in ("last_modified", "LastModified", "mtime", "updated", "created"):
        value: Any = info.get(key)
        if isinstance(value, str):
            import datetime

            with contextlib.suppress(ValueError):
                value = datetime.datetime.fromisoformat(value.replace("Z", "+00:00"))
        if hasattr(value, "timestamp"):
            return int(value.timestamp() * 1e6) * 1000
    return None


def _mark(info: dict[str, Any]) -> str:
    """Return what changes when a file does: its entity tag, failing that its time, and its size."""
    for key in ("etag", "ETag", "md5", "last_modified", "LastModified", "mtime", "updated", "created"):
        if info.get(key):
            return f"{info[key]} {info.get('size')}"
    return str(info.get("size"))


def _key(address: str, *marks: object) -> str:
    import hashlib  # a command on local files never needs it, nor the two below

    return hashlib.sha256(json.dumps([address, *marks]).encode("utf-8", "surrogatepass")).hexdigest()[:32]


def _new_folder(base: Path, prefix: str = "") -> str:
    """Make a folder of a new name in a folder that need not exist yet."""
    import tempfile

    base.mkdir(parents=True, exist_ok=True)
    return tempfile.mkdtemp(dir=base, prefix=prefix)


def _remove_folder(folder: str | Path) -> None:
    """Remove a folder as far as that goes."""
    import shutil

    shutil.rmtree(folder, ignore_errors=True)


def _download(system: Any, files: list[Found], place: Path, address: str, quiet: bool) -> None:
    """Fetch files beside their place, and move them there when all are whole."""
    name = _name(address)
    folder = Path(_new_folder(place.parent, prefix=f".{place.name}."))
    try:
        with Progress("files fetched") as progress:

            def fetched(file: Found, target: Path) -> None:
                target.parent.mkdir(parents=True, exist_ok=True)
                _get(system, file, target)

            pairs = [(file, folder / name / file.below if file.below else folder / name) for file in files]
            for done, _ in enumerate(_at_once(fetched, pairs), start=1):
                if not quiet:
                    progress(done, printable(address))
        (folder / _ORIGIN).write_text(address, encoding="utf-8")
        try:
            folder.rename(place)
        except OSError:
            if not (place / _ORIGIN).exists():  # otherwise another process was faster
                raise
    finally:
        _remove_folder(folder)


def _get(system: Any, file: Found, target: Path) -> None:
    """Fetch one file, which keeps its time."""
    system.get_file(file.path, os.fspath(target))
    if file.time_ns is not None:
        os.utime(target, ns=(file.time_ns, file.time_ns))


def _at_once(function: Callable[..., Any], arguments: Sequence[tuple[Any, ...]]) -> Iterator[Any]:
    """Call a function that waits for storage with each of some arguments, in threads; give results in their order."""
    if len(arguments) < 2:
        yield from (function(*given) for given in arguments)
        return
    from concurrent.futures import ThreadPoolExecutor

    pool = ThreadPoolExecutor(min(AT_ONCE, len(arguments)), thread_name_prefix="rollcore-storage")
    try:
        yield from pool.map(lambda given: function(*given), arguments)
    finally:
        pool.shutdown(cancel_futures=True)


@contextlib.contextmanager
def _one_line(address: str) -> Iterator[None]:
    """Word whatever storage raises in one line, without what is secret."""
    try:
        yield
    except (StorageError, MemoryError):
        raise
    except Exception as error:
        raise StorageError(f"{printable(address)}: {_words(address, error)}") from None


def _words(address: str, error: Exception) -> str:
    """Say what an error of a storage library means. They have no base in common: their names have to do."""
    protocol = address.partition("://")[0]
    names = {kind.__name__ for kind in type(error).__mro__}
    text = _without_secrets(" ".join(str(error).split()))
    lower = text.lower()
    if isinstance(error, ImportError):
        return f"needs {error.name or 'another package'}: pip install {_extra(protocol)}"
    if isinstance(error, FileNotFoundError) or "ResourceNotFoundError" in names or "NoSuchBucket" in text:
        return "not there; check the container and the path"
    if "padding" in lower or "AzureSigningError" in names or "base64" in lower:
        return f"the key in the environment is not base64; check {_variables(protocol)}"
    missing = ("must provide", "unable to locate credentials", "account name", "connection string", "no credentials")
    if "NoCredentialsError" in names or "CredentialUnavailableError" in names or any(sign in lower for sign in missing):
        return f"no credentials that can be used in the environment; set {_variables(protocol)}"
    refused = re.search("authenticat|authoriz|forbidden|access ?denied|signaturedoesnotmatch|invalidaccesskey", lower)
    if isinstance(error, PermissionError) or "ClientAuthenticationError" in names or refused:
        return f"no permission; check {_variables(protocol)}"
    if isinstance(error, OSError) and error.errno and error.filename:
        return f"{printable(os.fsdecode(error.filename))}: {error.strerror}"
    if isinstance(error, (ConnectionError, TimeoutError)) or re.search("connect|timed out|timeout", lower):
        return f"storage cannot be reached ({text[:120]}); try again"
    return f"storage answers {type(error).__name__}: {text[:160]}"


def _variables(protocol: str) -> str:
    known = {
        "azure": "AZURE_STORAGE_CONNECTION_STRING, or AZURE_STORAGE_ACCOUNT_NAME and AZURE_STORAGE_ACCOUNT_KEY",
        "s3": "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY",
        "gcs": "GOOGLE_APPLICATION_CREDENTIALS",
        "hf": "HF_TOKEN",
    }
    return known.get(_EXTRAS.get(protocol, ""), "its variables")


def _extra(protocol: str) -> str:
    extra = _EXTRAS.get(protocol)
    return f"'rollcore[{extra}]'" if extra else "fsspec"


def _without_secrets(text: str) -> str:
    """Take out the values of variables that hold credentials, and the parts of a connection string."""
    secrets = {value for name, value in os.environ.items() if re.search(_SECRET_NAME, name, re.IGNORECASE)}
    for value in list(secrets):
        secrets |= {part.partition("=")[2] for part in value.split(";") if "key" in part.partition("=")[0].lower()}
    for secret in sorted(secrets, key=len, reverse=True):
        if len(secret) >= 6:
            text = text.replace(secret, "***")
    return text
