"""Starting, measuring and ending processes."""
import os
import re
import resource
import signal
import socket
import subprocess
import time

from . import places

TICKS = os.sysconf('SC_CLK_TCK')
PAGE = os.sysconf('SC_PAGE_SIZE')


def raise_limits(wanted=262144):
    """Thousands of connections take as many descriptors."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, max(wanted, hard)))
    except (ValueError, PermissionError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def spawn(command, core, **options):
    """Starts a process on one core, in the folder of generated files."""
    options.setdefault('stdin', subprocess.DEVNULL)
    return subprocess.Popen([str(word) for word in command], cwd=places.RUN,
                            preexec_fn=lambda: os.sched_setaffinity(0, {core}), **options)


def _stat(pid):
    """(parent, ticks of its own, ticks of children it has reaped, when it started)."""
    with open(f'/proc/{pid}/stat') as file:
        text = file.read()
    fields = text[text.rindex(')') + 2:].split()
    return int(fields[1]), int(fields[11]) + int(fields[12]), int(fields[13]) + int(fields[14]), fields[19]


def tree(root):
    """The process and everything below it."""
    children = {}
    for entry in os.listdir('/proc'):
        if entry.isdigit():
            try:
                children.setdefault(_stat(int(entry))[0], []).append(int(entry))
            except (OSError, ValueError):
                pass
    found, todo = [], [root]
    while todo:
        pid = todo.pop()
        found.append(pid)
        todo += children.get(pid, [])
    return found


class Meter:
    """CPU and memory of one process tree, from /proc."""

    def __init__(self, root):
        self.root = root
        self.peak = 0
        self.refresh()

    def refresh(self):
        self.pids = tree(self.root)

    def cpu(self):
        """Seconds, user and system, of the living and of those that the root has reaped."""
        ticks = 0
        for pid in self.pids:
            try:
                _, own, reaped, _ = _stat(pid)
                ticks += own + (reaped if pid == self.root else 0)
            except OSError:
                pass
        return ticks / TICKS

    def rss(self):
        total = 0
        for pid in self.pids:
            try:
                with open(f'/proc/{pid}/statm') as file:
                    total += int(file.read().split()[1]) * PAGE
            except OSError:
                pass
        self.peak = max(self.peak, total)
        return total

    def pss(self):
        """Memory with what processes share counted once."""
        total = 0
        for pid in self.pids:
            try:
                with open(f'/proc/{pid}/smaps_rollup') as file:
                    total += int(re.search(r'^Pss:\s+(\d+)', file.read(), re.M)[1]) * 1024
            except (OSError, TypeError):
                pass
        return total


def core_times():
    """{core: (busy seconds, stolen seconds)}."""
    times = {}
    with open('/proc/stat') as file:
        for line in file:
            match = re.match(r'cpu(\d+) (.*)', line)
            if match:
                user, nice, system, _idle, _iowait, irq, softirq, steal, *_ = (
                    int(field) / TICKS for field in match[2].split())
                times[int(match[1])] = (user + nice + system + irq + softirq, steal)
    return times


def wait_for_port(port, process, seconds=120):
    """Waits until something accepts there; the seconds that took."""
    start = time.monotonic()
    while time.monotonic() - start < seconds:
        if process.poll() is not None:
            raise RuntimeError(f'ended with status {process.returncode} before port {port} was open')
        try:
            socket.create_connection(('127.0.0.1', port), 1).close()
            return time.monotonic() - start
        except OSError:
            time.sleep(0.01)
    raise RuntimeError(f'port {port} was not open after {seconds} s')


def stop(process, grace=8):
    """Ends a process that was started here, and those it started."""
    if process is None or process.poll() is not None:
        return
    members = {}
    for pid in tree(process.pid):
        try:
            members[pid] = _stat(pid)[3]
        except OSError:
            pass
    process.send_signal(signal.SIGTERM)
    try:
        process.wait(grace)
    except subprocess.TimeoutExpired:
        pass
    for pid, started in members.items():
        try:
            # The number may be someone else's by now, but not with the same start.
            if _stat(pid)[3] == started:
                os.kill(pid, signal.SIGKILL)
        except OSError:
            pass
    try:
        process.wait(2)
    except subprocess.TimeoutExpired:
        pass
