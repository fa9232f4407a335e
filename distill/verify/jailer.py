"""Runs a program of a model's, once or more, in a jail of Linux namespaces. Started by sandbox.py as a script, with
nothing of ours to import: `jailer.py JOB_FD RESULT_FD`. It writes a line of JSON for each run.

Three processes: the keeper, outside, ends the jail when its time is up; the first process of the jail builds it, and
gives each run a process, which it kills with all that it started, and an empty folder, which it takes away. The jail
has no network, no other processes, and of the file system /usr, /lib and Python, which it cannot write, and that
folder, which it can.
"""

from __future__ import annotations

import builtins
import ctypes
import errno
import json
import os
import signal
import struct
import sys
import threading
import time
from contextlib import suppress
from typing import Any

MAX_OUTPUT = 1 << 20
_NEWNS, _NEWUTS, _NEWIPC, _NEWUSER, _NEWPID, _NEWNET = (1 << bit for bit in (17, 26, 27, 28, 29, 30))
_MS_BIND, _MS_REC, _MS_PRIVATE, _MS_NOSUID, _MS_NODEV = 4096, 16384, 1 << 18, 2, 4
_MNT_DETACH, _AT_FDCWD, _AT_RECURSIVE, _SYS_MOUNT_SETATTR = 2, -100, 0x8000, 442
_RDONLY_NOSUID_NODEV = 7
_PR_SET_PDEATHSIG, _PR_SET_DUMPABLE, _PR_SET_SECCOMP, _PR_SET_NO_NEW_PRIVS = 1, 4, 22, 38
# Calls that no program needs, by machine, behind the mark that a filter knows it by: shmget and memfd_create give
# memory that no limit counts; unshare, add_key, request_key, keyctl, bpf, userfaultfd and io_uring_setup reach far into
# the kernel.
_REFUSED = {
    "x86_64": (0xC000003E, (29, 319, 272, 248, 249, 250, 321, 323, 425)),
    "aarch64": (0xC00000B7, (194, 279, 97, 217, 218, 219, 280, 282, 425)),
}
_CAPABILITIES_V3 = 0x20080522
_FOLDERS = ("/usr", "/lib", "/lib64", "/lib32", "/bin")
_MIB = 1 << 20
_WORK = "/work"
SPARE_S = 1.0  # for building it

Call = Any  # of libc


def keep(job: dict[str, Any], result_fd: int) -> None:
    """The keeper: gives the jail a little more time than all the runs may take."""
    libc = ctypes.CDLL(None, use_errno=True)
    # a user that nobody is, and no other jail's: the limit on processes counts by user, and does not bind root
    nobody = 0x70000000 + os.getpid() if os.geteuid() == 0 else None
    try:
        _separate(libc, nobody is not None)
    except OSError as error:
        return _tell(result_fd, "no jail", why=str(error))
    first = os.fork()
    if first == 0:
        _first_in_jail(libc, job, result_fd, nobody)
        os._exit(0)
    if _wait(first, time.monotonic() + job["timeout_s"] * len(job["runs"]) + SPARE_S) is None:
        _kill(first)


def _wait(process: int, deadline: float) -> int | None:
    """The status that a process ended with; None where it was still there at the deadline."""
    while time.monotonic() < deadline:
        ended, status = os.waitpid(process, os.WNOHANG)
        if ended:
            return status
        time.sleep(0.005)
    return None


def _separate(libc: Call, is_root: bool) -> None:
    """Whoever is not root becomes the root of a user namespace, which is nothing outside of it."""
    uid, gid = os.geteuid(), os.getegid()
    flags = _NEWNS | _NEWUTS | _NEWIPC | _NEWPID | _NEWNET
    _check(libc.unshare(flags if is_root else flags | _NEWUSER), "unshare")
    if not is_root:
        for name, line in (("setgroups", "deny"), ("uid_map", f"0 {uid} 1"), ("gid_map", f"0 {gid} 1")):
            with open(f"/proc/self/{name}", "w", encoding="ascii") as file:
                file.write(line)


def _first_in_jail(libc: Call, job: dict[str, Any], result_fd: int, nobody: int | None) -> None:
    """Process 1 of the jail, which no signal from inside can end. Stops at the first run that does not end well."""
    try:
        _check(libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0), "prctl")
        _check(libc.prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0), "prctl")
        _build(libc, job["folder"])
        for run in job["runs"]:
            _mount(libc, "tmpfs", _WORK, "tmpfs", _MS_NOSUID | _MS_NODEV, "size=16m,mode=777")
            os.chdir(_WORK)
            told = _run_once(libc, {**job, **run}, result_fd, nobody)
            _tell(result_fd, **told)
            if told["kind"] != "done":
                return
            os.chdir("/")
            _check(libc.umount2(_WORK.encode(), _MNT_DETACH), "umount")
    except OSError as error:
        _tell(result_fd, "no jail", why=str(error))


def _run_once(libc: Call, job: dict[str, Any], result_fd: int, nobody: int | None) -> dict[str, str]:
    """What became of one run of the program. Whatever it started ends with it."""
    stdin, stdout, value, refused = (os.memfd_create(name) for name in ("stdin", "stdout", "value", "refused"))
    try:
        with open(stdin, "wb", closefd=False) as file:
            file.write(job["stdin"].encode("utf-8", "surrogatepass"))
        os.lseek(stdin, 0, os.SEEK_SET)
        program = os.fork()
        if program == 0:
            os.close(result_fd)
            os.dup2(stdin, 0)
            os.dup2(stdout, 1)
            _become_program(libc, job, value, refused, nobody)
        status = _wait(program, time.monotonic() + job["timeout_s"])
        _kill(-1)
        if why := _read(refused):
            return {"kind": "no jail", "why": why}
        kind = "timeout" if status is None else "done" if status == 0 else "failed"
        return {"kind": kind, "stdout": _read(stdout), "value": _read(value)}
    finally:
        for descriptor in (stdin, stdout, value, refused):
            os.close(descriptor)


def _become_program(libc: Call, job: dict[str, Any], value_fd: int, refused_fd: int, nobody: int | None) -> None:
    try:
        _limit(job["timeout_s"])
        _give_up_rights(libc, nobody)
    except OSError as error:
        os.write(refused_fd, str(error).encode())
        os._exit(1)
    os.close(refused_fd)
    try:
        run_program(job, value_fd)
    except SystemExit as asked:  # as an interpreter that was given the program would do
        _join_threads()
        sys.stdout.flush()
        os._exit(asked.code & 255 if isinstance(asked.code, int) else int(asked.code is not None))
    except OSError:  # the program's own
        os._exit(1)


def _kill(process: int) -> None:
    """Ends a child; with -1 all processes but this one, in the jail. Returns when they are gone."""
    with suppress(ProcessLookupError):
        os.kill(process, signal.SIGKILL)
    with suppress(ChildProcessError):
        while True:
            os.waitpid(process, 0)


def _read(descriptor: int) -> str:
    return os.pread(descriptor, MAX_OUTPUT, 0).decode("utf-8", "replace")


def _tell(result_fd: int, kind: str, **more: str) -> None:
    line = json.dumps({"kind": kind, **more}).encode() + b"\n"
    while line:
        line = line[os.write(result_fd, line) :]


def _build(libc: Call, folder: str) -> None:
    """A new root in `folder`, and only that."""
    _mount(libc, "none", "/", None, _MS_REC | _MS_PRIVATE)
    _mount(libc, "tmpfs", folder, "tmpfs", _MS_NOSUID | _MS_NODEV, "size=1m,mode=755")
    for path in dict.fromkeys((*_FOLDERS, sys.base_prefix)):
        inside = folder + path
        if os.path.lexists(inside) or not os.path.lexists(path):
            continue
        if os.path.islink(path):
            os.symlink(os.readlink(path), inside)
        else:
            os.makedirs(inside)
            _mount(libc, path, inside, None, _MS_BIND | _MS_REC)
    os.mkdir(folder + _WORK)
    attributes = (ctypes.c_uint64 * 4)(_RDONLY_NOSUID_NODEV)
    _check(
        libc.syscall(
            _SYS_MOUNT_SETATTR, _AT_FDCWD, folder.encode(), _AT_RECURSIVE, attributes, ctypes.sizeof(attributes)
        ),
        "mount_setattr",
    )
    os.chdir(folder)
    _check(libc.pivot_root(b".", b"."), "pivot_root")
    _check(libc.umount2(b".", _MNT_DETACH), "umount")


def _limit(timeout_s: float) -> None:
    import resource  # sandbox.py imports this file on Windows too

    cpu = int(timeout_s) + 1
    for what, most in (
        (resource.RLIMIT_CPU, cpu),
        (resource.RLIMIT_AS, 512 * _MIB),
        (resource.RLIMIT_FSIZE, 8 * _MIB),
        (resource.RLIMIT_NPROC, 8),  # with threads; the other limits are of each process
        (resource.RLIMIT_NOFILE, 64),
        (resource.RLIMIT_CORE, 0),
    ):
        resource.setrlimit(what, (most, most))


def _give_up_rights(libc: Call, nobody: int | None) -> None:
    """For good."""
    if nobody is not None:
        os.setgroups([])
        os.setresgid(nobody, nobody, nobody)
        os.setresuid(nobody, nobody, nobody)
    header, none = (ctypes.c_uint32 * 2)(_CAPABILITIES_V3), (ctypes.c_uint32 * 6)()
    _check(libc.capset(header, none), "capset")
    _check(libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), "prctl")
    if os.uname().machine in _REFUSED:
        _refuse(libc, *_REFUSED[os.uname().machine])


def _refuse(libc: Call, machine: int, calls: tuple[int, ...]) -> None:
    """From here on these system calls, and those of another machine's numbers, fail with "not permitted"."""
    load, equal, at_least, give = 0x20, 0x15, 0x35, 0x06  # of the kernel's filter language
    refuse, allow = (give, 0, 0, 0x50000 | errno.EPERM), (give, 0, 0, 0x7FFF0000)
    lines = [(load, 0, 0, 4), (equal, 1, 0, machine), refuse, (load, 0, 0, 0), (at_least, 0, 1, 1 << 30), refuse]
    for call in calls:
        lines += [(equal, 0, 1, call), refuse]
    lines.append(allow)
    code = ctypes.create_string_buffer(b"".join(struct.pack("HBBI", *line) for line in lines))
    program = struct.pack("HP", len(lines), ctypes.addressof(code))
    _check(libc.prctl(_PR_SET_SECCOMP, 2, program, 0, 0), "prctl")


def run_program(job: dict[str, Any], value_fd: int) -> None:
    """Runs it to its end, and then `job["expression"]`, or `job["call"]` with `job["args"]`, whose value is written."""
    vars(builtins).update(exit=sys.exit, quit=sys.exit)  # which an interpreter that reads no site lacks
    space: dict[str, Any] = {"__name__": "__main__", "__builtins__": __builtins__}
    exec(compile(job["setup"], "setup.py", "exec"), space)
    exec(compile(job["program"], "program.py", "exec"), space)
    _join_threads()
    value = None
    if job["call"]:
        name = job["call"]
        # what was imported for the program may be called as its method is
        method = hasattr(space.get("Solution"), name)
        value = (getattr(space["Solution"](), name) if method else space[name])(*job["args"])
    elif job["expression"]:
        value = eval(compile(job["expression"], "test", "eval"), space)
    os.write(value_fd, json.dumps(encoded(value)).encode())
    sys.stdout.flush()
    os._exit(0)


def _join_threads() -> None:
    for thread in threading.enumerate():
        if thread is not threading.current_thread() and not thread.daemon:
            thread.join()


_MOST_BITS = 14_000  # of a number that Python writes in decimal digits and reads again


def encoded(value: Any) -> Any:
    """A value of plain types, marked with them; a class of the program's own, whatever it says it equals, is none."""
    kind = type(value)
    if kind is int and value.bit_length() > _MOST_BITS:
        return {"int": hex(value)}
    if value is None or kind in (bool, int, str):
        return value
    if kind is float:
        return {"float": repr(value)}
    if kind in (list, tuple, set, frozenset):
        return {kind.__name__: [encoded(inner) for inner in value]}
    if kind is dict:
        return {"dict": [[encoded(key), encoded(inner)] for key, inner in value.items()]}
    return {"other": kind.__name__}


def _mount(libc: Call, source: str, target: str, kind: str | None, flags: int, options: str = "") -> None:
    done = libc.mount(
        source.encode(), os.fsencode(target), kind.encode() if kind else None, ctypes.c_ulong(flags), options.encode()
    )
    _check(done, f"mount {target}")


def _check(result: int, what: str) -> None:
    if result:
        code = ctypes.get_errno()
        raise OSError(code, f"{what}: {os.strerror(code)}")


def main() -> None:
    job_fd, result_fd = map(int, sys.argv[1:])
    with os.fdopen(job_fd, encoding="utf-8") as file:
        job = json.load(file)
    keep(job, result_fd)


if __name__ == "__main__":
    main()
