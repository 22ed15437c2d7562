from lib import oracle
from lib.load import *
from lib.processes import wait_for
def test_p(path):
    make_tables(path)
    p = path.producer()
    load = Load(path, seed=5, rate=300).start()
    wait_rows(load, 300)
    p.kill(); p = path.producer("p2")
    wait_rows(load, 600)
    load.finish()
    want = sum(len(i) for i in path.truth().values())
    wait_for(lambda: sum(t["read"] for t in p.status()["tables"].values())>0, "rows")
    import time; time.sleep(2)
    print(p.status(), p.metrics())
    print(p.text())
    oracle.judge_topics(path)
