from test_types import test_every_type_arrives_exactly as real
import pytest
@pytest.mark.parametrize("n", range(25))
def test_dbg(path, n):
    try:
        real(path)
    except AssertionError as e:
        for p in path.programs:
            print("STATUS", p.status())
        t = path.topics()[0]
        ms = path.broker.messages(t)
        print("MESSAGES", len(ms), [ (m.offset(), len(m.value() or b'')) for m in ms], path.ends())
        for m in path.broker.messages(f"{path.prefix}.dead"):
            print("DEAD", m.key(), m.headers(), len(m.value()))
        from lib import oracle
        c = oracle.sqlite_connect(path.sqlite_file)
        print("HIST", [tuple(r) for r in c.execute("select id, __op, __seq, __idx, __txid from types_history order by __seq, __idx")])
        raise
