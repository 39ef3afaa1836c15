from datetime import timedelta

from fleetsyncd.database import quarantine, store
from fleetsyncd.database.pool import Database
from fleetsyncd.database.quarantine import purgeable
from fleetsyncd.database.views.quarantine import PAGE_ROWS, refused_groups, refused_rows
from fleetsyncd.sync.replay import Replayed, replay
from fleetsyncd.telemetry import BadRow
from fleetsyncd.times import iso_ms
from tests.integration.rig import Rig, rig


def row(channel: int, at: str, value: str = "1.5") -> str:
    return f'{{"channel_id":{channel},"value":{value},"time":"{at}"}}'


def set_aside(it: Rig, *rows: tuple[str, str]) -> None:
    bad = [BadRow(call, raw, "refused") for call, raw in rows]
    it.database.run(lambda cursor: store.quarantine_rows(cursor, it.vehicle_id, bad))


def tried(it: Rig) -> Replayed:
    return replay(it.database, it.context().partitions, it.context().accepted_interval)


def left(it: Rig) -> list[str]:
    return [e.raw for e in it.database.run(lambda c: quarantine.list_rows(c, None, 100))]


def test_what_has_become_valid_is_stored_and_the_rest_stays(database: Database) -> None:
    with rig(database) as it:
        good = row(1, iso_ms(it.now - timedelta(seconds=1)))
        ahead = row(1, iso_ms(it.now + timedelta(hours=2)))
        bad = row(2, iso_ms(it.now), '"x"')
        set_aside(it, ("/data", good), ("/data", ahead), ("/data", bad), ("/data", good[:30]))
        assert tried(it) == Replayed(4, 1, 1)
        assert set(left(it)) == {ahead, bad, good[:30]}
        it.now += timedelta(hours=3)
        assert tried(it) == Replayed(3, 1, 1)
        assert it.run("SELECT count(*) FROM measurements") == [(2,)]


def test_only_the_chosen_rows_are_tried(database: Database) -> None:
    with rig(database) as it:
        first, second = (row(n, iso_ms(it.now - timedelta(seconds=n))) for n in (1, 2))
        set_aside(it, ("/data", first), ("/data", second))
        entries = it.database.run(lambda cursor: quarantine.list_rows(cursor, None, 10))
        chosen = [entry.id for entry in entries if entry.raw == second]
        context = it.context()
        result = replay(it.database, context.partitions, context.accepted_interval, only=chosen)
        assert result == Replayed(1, 1, 1)
        assert left(it) == [first]


def test_a_group_is_purged_as_it_was_counted_and_its_pages_follow_each_other(
    database: Database,
) -> None:
    with rig(database) as it:
        set_aside(it, *((("/data", f'{{"n":{n}}}')) for n in range(PAGE_ROWS + 5)))
        set_aside(it, ("/alarms", "{}"))
        alarms, data = it.database.run(refused_groups)
        assert (alarms.call, alarms.rows, data.call, data.rows) == ("/alarms", 1, "/data", 105)
        newest = it.database.run(lambda cursor: refused_rows(cursor, data))
        older = it.database.run(lambda cursor: refused_rows(cursor, data, newest[-1].id))
        numbers = [entry.id for entry in (*newest, *older)]
        assert numbers == sorted(numbers, reverse=True)
        assert len(set(numbers)) == data.rows
        set_aside(it, ("/data", '{"later":1}'))
        assert it.database.run(lambda cursor: quarantine.purge_group(cursor, data)) == data.rows
        assert sorted(left(it)) == ['{"later":1}', "{}"]


def test_a_row_that_is_stored_already_is_released_and_not_doubled(database: Database) -> None:
    with rig(database) as it:
        it.cycle()
        before = it.run("SELECT count(*), sum(value) FROM measurements")
        channel, at = it.run("SELECT channel_id, time FROM measurements LIMIT 1")[0]
        set_aside(it, ("/data", row(channel, iso_ms(at), "99.5")))
        assert tried(it) == Replayed(1, 1, 0)
        assert it.run("SELECT count(*), sum(value) FROM measurements") == before
        assert left(it) == []


def test_the_past_of_a_known_channel_or_alarm_does_not_overtake_the_present(
    database: Database,
) -> None:
    channel = (
        '{"channel_id":%d,"name":"Old","unit":null,"raw_min":0,"raw_max":1,"phys_min":0,'
        '"phys_max":1,"signal_type":"digital","enabled":true,"updated_at":"2026-01-01T00:00:00Z"}'
    )
    alarm = (
        '{"alarm_id":%d,"channel_id":1,"severity":null,"message":"Oil",'
        '"triggered_at":"2026-01-01T00:00:00.000Z","resolved_at":null}'
    )
    with rig(database) as it:
        it.cycle()
        it.run(
            "INSERT INTO alarms_log (vehicle_id, alarm_id, channel_id, message, triggered_at,"
            " resolved_at) VALUES (%s, 7, 1, 'Oil', '2026-01-01Z', '2026-01-02Z')",
            str(it.vehicle_id),
        )
        for number in (1, 4711):
            set_aside(it, ("/channels", channel % number))
        for number in (7, 8):
            set_aside(it, ("/alarms", alarm % number))
        assert tried(it) == Replayed(4, 4, 2)
        assert it.run("SELECT channel_id FROM channel_config WHERE name = 'Old'") == [(4711,)]
        assert it.run("SELECT resolved_at IS NULL FROM alarms_log WHERE alarm_id IN (7, 8)"
                      " ORDER BY alarm_id") == [(False,), (True,)]  # fmt: skip


def test_many_rows_are_replayed_in_pages(database: Database) -> None:
    with rig(database, watermark_ago=60) as it:
        moments = [iso_ms(it.now - timedelta(milliseconds=n)) for n in range(2_500)]
        set_aside(it, *(("/data", row(1, at)) for at in moments))
        assert tried(it) == Replayed(2_500, 2_500, 2_500)


def test_the_quarantine_is_purged_by_vehicle_and_age(database: Database) -> None:
    with rig(database) as it:
        set_aside(it, ("/data", "1"), ("/data", "2"))
        it.run("UPDATE fleetsync.quarantine SET at = now() - interval '8 days' WHERE raw = '1'")
        old = it.database.run(lambda c: purgeable(c, it.vehicle_id, timedelta(days=7)))
        assert (old.rows, old.vehicles) == (1, 1)
        mine = it.vehicle_id
        assert it.database.run(lambda c: quarantine.purge(c, mine, old.until)) == {mine: 1}
        assert left(it) == ["2"]
        every = it.database.run(lambda c: purgeable(c, None, timedelta(0)))
        assert it.database.run(lambda c: quarantine.purge(c, None, every.until)) == {mine: 1}
        assert left(it) == []


def test_what_comes_after_the_count_is_not_purged(database: Database) -> None:
    with rig(database) as it:
        set_aside(it, ("/data", "1"))
        counted = it.database.run(lambda c: purgeable(c, None, timedelta(0)))
        set_aside(it, ("/data", "2"))
        assert (
            sum(it.database.run(lambda c: quarantine.purge(c, None, counted.until)).values()) == 1
        )
        assert left(it) == ["2"]
