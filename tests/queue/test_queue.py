from __future__ import annotations
import time
from nbexp.queue import Queue
from tests.queue.conftest import until

def test_first(queue, project, git):
    t=time.perf_counter()
    found = queue.add(["train.lr=0.02,0.03"], emit=print)
    print("add", time.perf_counter()-t, found)
    t=time.perf_counter()
    print(queue.start(2, idle_s=0.5, emit=print), time.perf_counter()-t)
    for change in queue.wait(found.uids, timeout_s=30):
        print(round(time.perf_counter()-t,3), change.task.name, change.kind, change.data)
    print(queue.status().to_json())
    print(git("for-each-ref", cwd=project))
    print(git("status","--short", cwd=project))
    print(queue.logs(found.names[0]).text)
    import subprocess
    print(subprocess.run(["bash","-c",f"cat {project}/.dvc/tmp/nbexp/workers/*.log"],capture_output=True,text=True).stdout)
    assert 0
