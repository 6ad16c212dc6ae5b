"""A worker that breaks on purpose where the name of a molecule says how; run by the tests in place of the real one."""

import os
import signal
import sys
import time

from data_gen.worker import Answer, Task, label_one, serve


def label(task: Task) -> Answer:
    name = task["info"]["molecule"]
    if name == "segfault":
        os.kill(os.getpid(), signal.SIGSEGV)
    elif name == "killed":
        os.kill(os.getpid(), signal.SIGKILL)
    elif name == "exit":
        print("last words", file=sys.stderr)
        os._exit(3)
    elif name == "hang":
        time.sleep(600)
    elif name == "memory":
        return {"key": task["key"], "kind": "done", "reason": str(len(bytearray(8 << 30))), "cpu_s": 0.0}
    elif name == "noisy":
        print("PySCF says something")
        os.write(1, b"and so does a library in C\n")
    elif name == "slow":
        time.sleep(0.4)
    return label_one(task)


if __name__ == "__main__":
    serve(label)
