"""``ansible://``: hosts and their variables from an Ansible inventory, connections by our own backends.

The inventory is read by testinfra through ``ansible-inventory``. Variables that would change how a host is reached and
cannot be honoured end in a sentence, never in a connection made differently.
"""

import contextlib
import dataclasses
import functools
import os
import shutil
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from testinfra.backend.ansible import AnsibleBackend as TestinfraAnsibleBackend
from testinfra.backend.base import CommandResult
from testinfra.host import Host
from testinfra.utils.ansible_runner import get_ansible_host

from kdump.connection.errors import ConnectionProblem, Kind, Phase
from kdump.connection.execution import Executed, ExecutingBackend
from kdump.connection.secret import Secret

#: Variable → its modern name, as ansible-core documents the old ones.
_OLD_NAMES = {
    "ansible_ssh_host": "ansible_host",
    "ansible_ssh_port": "ansible_port",
    "ansible_ssh_user": "ansible_user",
    "ansible_sudo": "ansible_become",
    "ansible_sudo_user": "ansible_become_user",
    "ansible_become_pass": "ansible_become_password",
    "ansible_sudo_pass": "ansible_become_password",
    "ansible_ssh_timeout": "ansible_timeout",
}
_SSH = ("smart", "ssh", "paramiko", "paramiko_ssh")
_SSH_ARGUMENTS = ("ansible_ssh_common_args", "ansible_ssh_extra_args")
_finding = threading.Lock()
_FALSE = ("", "false", "no", "off", "0", "none")


@dataclasses.dataclass(frozen=True)
class Adapted:
    """One host's variables as testinfra may have them, and what it would ignore."""

    variables: dict[str, Any]
    become_password: Secret | None
    timeout: float | None
    notes: tuple[str, ...]


class AnsibleBackend(ExecutingBackend, TestinfraAnsibleBackend):  # type: ignore[misc]  # untyped base
    """A host of an inventory. With ``force_ansible`` commands go through Ansible itself, as in testinfra."""

    def __init__(self, host: str, *args: Any, **kwargs: Any) -> None:
        super().__init__(host, *args, **kwargs)
        self._inner: Any = None
        self._problem: ConnectionProblem | None = None
        self._finding = threading.Lock()

    @property
    def notes(self) -> list[str]:
        """Settings that were not honoured; complete after the first use."""
        return self._inner.notes if self._inner is not None else []

    def execute(self, command: str, *, stdin: bytes = b"", deadline: float, cap: int) -> Executed:
        from kdump.connection import execute, execute_by_argument

        if self.force_ansible:
            _find_program()
            return execute_by_argument(self, command, stdin, deadline, cap)
        return execute(self.inner(), command, stdin=stdin, deadline=deadline, cap=cap)

    def forget(self) -> None:
        """Forget a failure to connect: the next command tries again."""
        forget = getattr(self._inner, "forget", None)
        if forget is not None:
            forget()

    def run(self, command: str, *args: str, **kwargs: Any) -> CommandResult:
        if self.force_ansible:
            return TestinfraAnsibleBackend.run(self, command, *args, **kwargs)
        return self.inner().run(command, *args, **kwargs)

    def sftp_read(self, path: str) -> Any:
        """As of the backend that the host is reached by."""
        return self.inner().sftp_read(path)

    @contextlib.contextmanager
    def without_sudo(self) -> Iterator[None]:
        """As of the backend that the host is reached by."""
        with self.inner().without_sudo():
            yield

    def close(self) -> None:
        if self._inner is not None and hasattr(self._inner, "close"):
            self._inner.close()

    def inner(self) -> Any:
        """The backend that reaches the host. Raises ConnectionProblem(BAD_CONFIGURATION)."""
        with self._finding:
            if self._problem is not None:
                raise self._problem.again()
            if self._inner is None:
                try:
                    self._inner = self._find()
                except ConnectionProblem as problem:
                    self._problem = problem
                    raise
            return self._inner

    def _find(self) -> Any:
        runner = self.ansible_runner
        with _finding:  # ansible-inventory is run once, not by every thread
            inventory = runner.inventory
        variables = inventory.get("_meta", {}).get("hostvars", {}).get(self.host, {})
        config = runner.ansible_config
        has_arguments = bool(
            config.get("ssh_connection", "ssh_args", fallback="")
            or config.get("ssh_connection", "ssh_common_args", fallback="")
            or config.get("ssh_connection", "ssh_extra_args", fallback="")
        )
        default_method = config.get("privilege_escalation", "become_method", fallback="sudo")
        adapted = adapt(self.host, variables, has_arguments, default_method)
        hosts = {**inventory, "_meta": {"hostvars": {self.host: adapted.variables}}}
        with _finding:
            found = get_ansible_host(
                config, hosts, self.host, ssh_config=self.ssh_config, ssh_identity_file=self.ssh_identity_file
            )
            # testinfra keeps one Host per address; two names of the inventory must not share one connection.
            for key in [key for key, host in Host._host_cache.items() if host is found]:
                del Host._host_cache[key]
        if found is None:
            raise _problem(
                self.host,
                f"ansible_connection {variables.get('ansible_connection')} is not supported",
                "use --force-ansible, or ssh",
            )
        inner = found.backend
        inner.sudo = bool(inner.sudo or self.sudo)
        inner.sudo_user = self.sudo_user or inner.sudo_user
        if adapted.become_password is not None:
            inner.sudo_password = adapted.become_password
        if adapted.timeout is not None and hasattr(inner, "timeout"):
            inner.timeout = adapted.timeout
        if hasattr(inner, "hostname"):
            inner.hostname = self.host  # sentences name the host as the inventory does
        if hasattr(inner, "notes"):
            inner.notes = list(adapted.notes)
        return inner


@functools.cache
def _find_program() -> None:
    """testinfra looks for ``ansible`` on the PATH alone; in a virtual environment that is not active it lies beside Python."""
    if shutil.which("ansible") is None:
        os.environ["PATH"] = os.pathsep.join([os.environ.get("PATH", os.defpath), str(Path(sys.executable).parent)])


def adapt(host: str, given: dict[str, Any], has_arguments: bool, become_method: str = "sudo") -> Adapted:
    """Make ``given`` host variables mean to testinfra what they mean to Ansible; raises ConnectionProblem where not.

    ``has_arguments``: ansible.cfg has ssh arguments. Hosts without any are reached by paramiko (in this process, much
    faster), hosts with ssh arguments by the OpenSSH program, which understands them.
    """
    variables = dict(given)
    for old, new in _OLD_NAMES.items():
        if old in variables:
            variables.setdefault(new, variables.pop(old))
    for name, value in variables.items():
        if name.startswith("ansible_") and isinstance(value, str) and "{{" in value and name in _USED:
            raise _problem(host, f"{name} holds a template, which ansible-inventory leaves as it is", "write the value")
        if isinstance(value, dict) and "__ansible_vault" in value and name in _USED:  # else sudo would be given the ciphertext
            remedy = "encrypt the file that it stands in as a whole, or leave it out (sudo's password: KDUMP_SUDO_PASSWORD)"
            raise _problem(host, f"{name} is a value of Ansible Vault, which ansible-inventory leaves as it is", remedy)
    for name in ("ansible_ssh_pass", "ansible_password", "ansible_ssh_password"):
        if variables.get(name):
            raise _problem(host, f"{name} is set", "use a key or an agent; one password for all hosts: KDUMP_SSH_PASSWORD")
    method = str(variables.get("ansible_become_method", become_method))
    becomes = str(variables.get("ansible_become", "")).lower() not in _FALSE
    if becomes and method not in ("sudo", "ansible.builtin.sudo"):
        raise _problem(host, f"ansible_become_method {method} is not supported", "use sudo, or connect as root")
    variables["ansible_become"] = becomes or None
    if not becomes:
        variables.pop("ansible_become")
    if str(variables.get("ansible_shell_type", "sh")) in ("powershell", "cmd"):
        raise _problem(host, "ansible_shell_type says that this is Windows", "leave it out of the selection")
    connection = str(variables.get("ansible_connection", "ssh")).removeprefix("ansible.builtin.")
    arguments = has_arguments or any(variables.get(name) for name in _SSH_ARGUMENTS)
    if connection in _SSH:
        connection = "ssh" if arguments else "paramiko_ssh"
    variables["ansible_connection"] = connection
    password = variables.pop("ansible_become_password", None)
    timeout = _number(host, "ansible_timeout", variables.get("ansible_timeout"))
    notes = tuple(_notes(variables))
    return Adapted(variables, Secret(str(password)) if password else None, timeout, notes)


_USED = (
    *("ansible_host", "ansible_port", "ansible_user", "ansible_connection", "ansible_timeout"),
    *("ansible_private_key_file", "ansible_ssh_private_key_file", *_SSH_ARGUMENTS),
    *("ansible_become", "ansible_become_user", "ansible_become_password", "ansible_become_method"),
)


def _notes(variables: dict[str, Any]) -> list[str]:
    notes = []
    for name in ("ansible_host_key_checking", "ansible_ssh_host_key_checking"):
        if name in variables and str(variables[name]).lower() in _FALSE:
            notes.append(f"{name} is not honoured: host keys are always verified (--ssh-accept-new adds new ones)")
    for name in ("ansible_become_exe", "ansible_become_flags", "ansible_ssh_executable"):
        if variables.get(name):
            notes.append(f"{name} is not honoured")
    return notes


def _number(host: str, name: str, value: Any) -> float | None:
    if value is None:
        return None
    try:
        return float(value)
    except (TypeError, ValueError):
        raise _problem(host, f"{name} {value} is not a number", "correct it in the inventory") from None


def _problem(host: str, what: str, remedy: str) -> ConnectionProblem:
    return ConnectionProblem(Kind.BAD_CONFIGURATION, host, Phase.CONFIG, what, remedy)
