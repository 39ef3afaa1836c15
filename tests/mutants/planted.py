"""The bugs to be planted: each one a slip that somebody might make."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Mutant:
    """A bug: in `file` the only `old` becomes `new`; some of `tests` must fail."""

    name: str
    file: str
    old: str
    new: str
    tests: str


POOL = "fleetsyncd/database/pool.py"
STATEMENTS = "fleetsyncd/database/statements.py"
STORE = "fleetsyncd/database/store.py"
CLIENT = "fleetsyncd/vehicle/client.py"
DECODE = "fleetsyncd/vehicle/decode.py"
CYCLE = "fleetsyncd/sync/cycle.py"
COMMIT = "fleetsyncd/sync/commit.py"
WINDOW = "fleetsyncd/sync/window.py"

MUTANTS = (
    Mutant(
        "no set_config",
        "fleetsyncd/database/session_settings.py",
        '    "app.user_role": ROLE,\n',
        "",
        "tests/integration/test_pool.py",
    ),
    Mutant(
        "watermark before rows",
        CYCLE,
        "        commit_page(self.context, self.vehicle.id, page,",
        "        self.context.database.run(lambda c: store.advance_watermark(c, update))\n"
        "        commit_page(self.context, self.vehicle.id, page,",
        "tests/integration/test_cycle_faults.py",
    ),
    Mutant(
        "no overlap",
        WINDOW,
        "step_back(vehicle, skew) - pull_overlap",
        "step_back(vehicle, skew)",
        "tests/unit/test_window.py",
    ),
    Mutant(
        "no sort",
        "fleetsyncd/models.py",
        "zip(*sorted(rows), strict=True)",
        "zip(*rows, strict=True)",
        "tests/unit/test_decode.py",
    ),
    Mutant(
        "a piece of the URL's password is shown",
        "fleetsyncd/database_url.py",
        "    if _has_cut_password(url, parameters):",
        "    if False:",
        "tests/unit/test_settings.py",
    ),
    Mutant(
        "columns are padded by characters",
        "fleetsyncd/cells.py",
        '" " * (cells - cell_len(text))',
        '" " * (cells - len(text))',
        "tests/unit/test_tables.py",
    ),
    Mutant(
        "redirect allowed",
        CLIENT,
        "self._adapter.send(self._request",
        "requests.Session().send(self._request",
        "tests/unit/test_client_secrets.py",
    ),
    Mutant(
        "markup not escaped",
        "tui/app.py",
        "markup=False",
        "markup=True",
        "tests/tui/test_notices.py",
    ),
    Mutant(
        "control characters kept",
        "fleetsyncd/text.py",
        "    if value.isprintable():",
        "    if value:",
        "tests/unit/test_text.py",
    ),
    Mutant(
        "a key that a vehicle echoes is kept",
        CLIENT,
        "self._redactor.redact_body(call, body),",
        "body,",
        "tests/unit/test_client_secrets.py",
    ),
    Mutant(
        "no deadline over the body",
        CLIENT,
        "with self._deadline(self._pull_timeout_sec, lambda:",
        "with self._deadline(3600, lambda:",
        "tests/unit/test_client_deadlines.py",
    ),
    Mutant(
        "no cap on the body",
        CLIENT,
        "            if size > most:",
        "            if size < 0:",
        "tests/unit/test_client_bodies.py",
    ),
    Mutant(
        "truncated answers taken for whole",
        "fleetsyncd/sync/pull.py",
        "                if page.truncated:\n",
        "                if False:\n",
        "tests/integration/test_cycle.py",
    ),
    Mutant(
        "a page that was asked for ahead is never dropped",
        "fleetsyncd/sync/pull.py",
        "                pending.drop()",
        "                pass",
        "tests/integration/test_cycle.py",
    ),
    Mutant(
        "silent vehicles keep their slots",
        "fleetsyncd/sync/lanes.py",
        "                self._free_prompt_slots()",
        "                pass",
        "tests/unit/test_lanes.py",
    ),
    Mutant(
        "an answer for another window accepted",
        DECODE,
        "    if window is not None:",
        "    if window is None:",
        "tests/unit/test_decode.py",
    ),
    Mutant(
        "rows stamped in the future stored",
        "fleetsyncd/time_limits.py",
        "    if time >= newest:",
        "    if time is None:",
        "tests/unit/test_decode.py",
    ),
    Mutant(
        "one bad row spoils the answer",
        "fleetsyncd/vehicle/parsing.py",
        "            bad.add(bytes(raw), str(error))",
        '            raise BadAnswer("/data", str(error)) from None',
        "tests/unit/test_decode.py",
    ),
    Mutant(
        "bad rows forgotten",
        COMMIT,
        "quarantined = store.quarantine_rows(cursor, vehicle_id, [*page.bad, *left_out])",
        "quarantined = True",
        "tests/integration/test_cycle_faults.py",
    ),
    Mutant(
        "the quarantine has no bound",
        STORE,
        "QUARANTINE_PER_VEHICLE = 10_000",
        "QUARANTINE_PER_VEHICLE = 10_000_000",
        "tests/integration/test_bad_answers.py tests/integration/test_store.py",
    ),
    Mutant(
        "the vehicle's clock not looked at",
        WINDOW,
        "return floor_ms(now if clock is None else min(now, clock))",
        "return floor_ms(now)",
        "tests/unit/test_window.py",
    ),
    Mutant(
        "a clock set back not noticed",
        WINDOW,
        "return step if step <= -CLOCK_TOLERANCE else timedelta(0)",
        "return timedelta(0)",
        "tests/unit/test_window.py",
    ),
    Mutant(
        "the watermark moves backwards",
        STATEMENTS,
        "SET last_sync_at = greatest(last_sync_at, %(watermark)s)",
        "SET last_sync_at = %(watermark)s",
        "tests/integration/test_store.py tests/integration/test_cycle_clocks.py",
    ),
    Mutant(
        "alarms not asked for again",
        CYCLE,
        "        self.alarm_watermark = min(begun, pull.window.start)",
        "        self.alarm_watermark = end",
        "tests/integration/test_cycle_faults.py",
    ),
    Mutant(
        "resolutions not stored",
        STATEMENTS,
        "ON CONFLICT (vehicle_id, alarm_id) DO UPDATE\n"
        "    SET resolved_at = excluded.resolved_at, synced_at = excluded.synced_at\n"
        "WHERE a.resolved_at IS DISTINCT FROM excluded.resolved_at",
        "ON CONFLICT (vehicle_id, alarm_id) DO NOTHING",
        "tests/integration/test_store.py tests/integration/test_cycle_faults.py",
    ),
    Mutant(
        "the journal calls a failure ok",
        "fleetsyncd/sync/outcome.py",
        "            Outcome.ERROR,\n            str(error),\n            _failure(error),",
        "            Outcome.OK,\n            str(error),\n            _failure(error),",
        "tests/integration/test_cycle_faults.py",
    ),
    Mutant(
        "repeated rows counted twice",
        COMMIT,
        "totals.rows_written += max(added)",
        "totals.rows_written += len(page)",
        "tests/integration/test_cycle.py",
    ),
    Mutant(
        "a broken connection used again",
        POOL,
        "        except BaseException:\n            connection.close()\n            raise",
        "        except BaseException:\n            raise",
        "tests/integration/test_pool.py tests/integration/test_pool_green.py",
    ),
    Mutant(
        "deadlocks not tried again",
        POOL,
        '    "40P01": "deadlock",\n',
        "",
        "tests/integration/test_pool.py",
    ),
    Mutant(
        "patched too late",
        "fleetsyncd/__main__.py",
        "    green.patch()",
        "    import fleetsyncd.bootstrap\n\n    green.patch()",
        "tests/unit/test_floors.py tests/acceptance/test_commands.py",
    ),
    Mutant(
        "an owner sees every vehicle",
        "fleetsyncd/database/schema/migrations/0001.fleet-tables.sql",
        "        ' USING ((SELECT current_setting(''app.user_role'', true)) = ''owner'''\n"
        "        ' AND %I IN",
        "        ' USING ((SELECT current_setting(''app.user_role'', true)) = ''owner'''\n"
        "        ' OR %I IN",
        "tests/integration/test_rls.py",
    ),
    Mutant(
        "a restore within a gap is not noticed",
        STATEMENTS,
        "last_sync_at >= coalesce(%(known)s, %(pulled_from)s)",
        "last_sync_at >= %(pulled_from)s",
        "tests/integration/test_restore.py",
    ),
    Mutant(
        "the alarm watermark moves on after a restore",
        STATEMENTS,
        "            WHEN s.alarm_watermark IS NOT DISTINCT FROM %(known_alarm_watermark)s\n"
        "                AND s.alarms_digest IS NOT DISTINCT FROM %(known_alarms_digest)s\n",
        "            WHEN true\n",
        "tests/integration/test_restore.py",
    ),
    Mutant(
        "a backfill goes on after a restore",
        "fleetsyncd/database/backfills.py",
        "(reached_at = %(known)s AND finished_at IS NULL)",
        "finished_at IS NULL",
        "tests/integration/test_restore.py",
    ),
    Mutant(
        "channels that somebody changed are not noticed",
        STATEMENTS,
        "CASE WHEN c.content = s.channels_content",
        "CASE WHEN true",
        "tests/integration/test_restore.py",
    ),
    Mutant(
        "a question that broke off is asked again as it was",
        "fleetsyncd/sync/sizing.py",
        "        factor = 1 / 2 if share is None else min(1 / 2, share * TARGET_SHARE)",
        "        factor = 1.0",
        "tests/unit/test_sizing.py",
    ),
    Mutant(
        "the answer to a question is taken for that to a longer one",
        "fleetsyncd/sync/pull.py",
        "window = following or self.data_size.fit(rest)",
        "window = self.data_size.fit(rest)",
        "tests/unit/test_sizing.py tests/integration/test_cycle.py",
    ),
    Mutant(
        "a pull asks without end",
        "fleetsyncd/sync/question_limit.py",
        "        if self._asked >= self._questions:",
        "        if False:",
        "tests/unit/test_sizing.py",
    ),
    Mutant(
        "alarms have no budget",
        "fleetsyncd/budgets.py",
        "        if self.alarms >= most:",
        "        if False:",
        "tests/integration/test_budgets.py",
    ),
    Mutant(
        "reading an answer may take any time",
        "fleetsyncd/vehicle/cpu_slices.py",
        "        if self._used_sec > LONGEST_SEC:",
        "        if False:",
        "tests/unit/test_hostile_answers.py",
    ),
    Mutant(
        "a clock of the year 9999 is believed",
        CYCLE,
        "not oldest < answer.clock < LATEST_CLOCK",
        "not oldest < answer.clock",
        "tests/integration/test_cycle_clocks.py",
    ),
    Mutant(
        "an alarm's id goes through a float",
        "fleetsyncd/vehicle/notations.py",
        "number = Decimal(written.decode())",
        "number = Decimal(float(written))",
        "tests/unit/test_decode_lists.py",
    ),
    Mutant(
        "a vehicle that tells no version makes the known one unknown",
        STATEMENTS,
        "software_version = coalesce(%(version)s, software_version)",
        "software_version = %(version)s",
        "tests/integration/test_odd_answers.py",
    ),
    Mutant(
        "a vehicle may ask to be left alone for ever",
        "fleetsyncd/vehicle/refusals.py",
        "min(seconds, LONGEST_REST_SEC) if seconds > 0",
        "seconds if seconds > 0",
        "tests/unit/test_refusals.py",
    ),
    Mutant(
        "a proxy's page is taken for the vehicle's words",
        "fleetsyncd/vehicle/refusals.py",
        "            case HTTPStatus.SERVICE_UNAVAILABLE if _SPEAKS_OF_DATABASE.search(words):",
        "            case HTTPStatus.SERVICE_UNAVAILABLE:",
        "tests/unit/test_refusals.py",
    ),
    Mutant(
        "the beginning of a key is told where reading ended",
        "fleetsyncd/vehicle/refusals.py",
        "cut=body.cut)",
        "cut=False)",
        "tests/unit/test_refusals.py",
    ),
    Mutant(
        "a refusal whose body is late is a timeout",
        CLIENT,
        "lambda: self._refused or timed_out",
        "lambda: timed_out",
        "tests/unit/test_refusals.py",
    ),
    Mutant(
        "an alarm without a channel keeps the others from being stored",
        "fleetsyncd/database/adopted_nulls.py",
        "        if error.diag.column_name not in columns:",
        "        if error is not None:",
        "tests/integration/test_odd_answers.py",
    ),
    Mutant(
        "the age of stored channels is not looked at",
        STATEMENTS,
        "        + count(*) FILTER (WHERE NOT ({_CONFIRMED.format(age=_OLD)})) AS content",
        "        AS content",
        "tests/integration/test_restore.py",
    ),
    Mutant(
        "a shard is kept as long as its vehicles like",
        "fleetsyncd/sync/dispatcher.py",
        "lost & (long | self._lost_before)",
        "lost & long",
        "tests/integration/test_dispatcher.py",
    ),
    Mutant(
        "the client's encoding is inherited",
        "fleetsyncd/database/connections.py",
        '{"client_encoding": "UTF8"}',
        "{}",
        "tests/integration/test_session_settings.py tests/integration/test_connections.py",
    ),
    Mutant(
        "rows are left out while the present has no partition",
        "fleetsyncd/database/partitions.py",
        "        if self._database.run(partial(_uncovered, now, now)):",
        "        if False:",
        "tests/integration/test_foreign_partitions.py",
    ),
    Mutant(
        "rows are left out of a month that could be made",
        "fleetsyncd/database/partitions.py",
        'return "; ".join(remedies) if all(remedies) else ""',
        'return "; ".join(remedies) or "none"',
        "tests/integration/test_foreign_partitions.py",
    ),
    Mutant(
        "rows without a partition are no error",
        "fleetsyncd/sync/cycle.py",
        "        result = result.with_left_out(self.totals.left_out)\n",
        "",
        "tests/integration/test_foreign_partitions.py",
    ),
    Mutant(
        "a pooler in transaction mode is not noticed",
        "fleetsyncd/database/pooler.py",
        "if (seen == pid) is (connection is second):",
        "if False:",
        "tests/integration/test_pooler.py",
    ),
    Mutant(
        "vehicles are asked though nothing can be written",
        "fleetsyncd/sync/supervisor.py",
        "asked for it in vain.\n        self._send_heartbeat()\n",
        "asked for it in vain.\n",
        "tests/integration/test_dispatcher.py",
    ),
    Mutant(
        "migrate looks at nothing before it begins",
        "fleetsyncd/database/schema/migrate.py",
        "        database.run(partial(preconditions.require, app_role, pending))\n",
        "",
        "tests/integration/test_misfits.py",
    ),
    Mutant(
        "migrate waits for a lock as long as it takes",
        "fleetsyncd/database/schema/lock_waits.py",
        """            cursor.execute(f"SET lock_timeout = '{lock_sec:g}s'")\n""",
        "",
        "tests/integration/test_migration_locks.py",
    ),
    Mutant(
        "what an interrupted build of an index has left is taken for the index",
        "fleetsyncd/database/schema/indexes.py",
        "WHERE i.indrelid = to_regclass(%(table)s) AND i.indisvalid\n",
        "WHERE i.indrelid = to_regclass(%(table)s)\n",
        "tests/integration/test_migration_locks.py",
    ),
    Mutant(
        "a command ends with the reader of its output",
        "fleetsyncd/streams.py",
        "            return memoryview(data).nbytes",
        "            raise SystemExit(0) from None",
        "tests/acceptance/test_streams.py",
    ),
    Mutant(
        "a vehicle's rest outlives its registration",
        "fleetsyncd/sync/rests.py",
        "rest[1] != vehicle.registration",
        "rest[1][0] != vehicle.host",
        "tests/integration/test_dispatcher.py",
    ),
    Mutant(
        "a fleet that its network had silenced goes on resting",
        "fleetsyncd/sync/silence.py",
        "silence.count, silence.ended_with_others = 0, True",
        "silence.ended_with_others = True",
        "tests/unit/test_silence.py",
    ),
    Mutant(
        "a vehicle that answers with an error rests as if it were silent",
        "fleetsyncd/sync/silence.py",
        "if report.vehicle_answered or report.failure not in _SILENT:",
        "if report.outcome is Outcome.OK:",
        "tests/unit/test_silence.py",
    ),
    Mutant(
        "a vehicle that falls silent keeps its old status",
        "fleetsyncd/reports.py",
        "return self.status is not None or self.vehicle.status != self.outcome",
        "return self.status is not None",
        "tests/integration/test_silent_vehicles.py",
    ),
    Mutant(
        "a channel that the table refuses counts as stored",
        "fleetsyncd/sync/commit.py",
        "if not without_range and not changes_refused:",
        "if not changes_refused:",
        "tests/integration/test_odd_answers.py",
    ),
    Mutant(
        "channels may be renamed without end",
        "fleetsyncd/sync/commit.py",
        "if intake.may_change_channels(context.budget):",
        "if True:",
        "tests/integration/test_budgets.py",
    ),
    Mutant(
        "a takeover forgets the vehicles' states",
        "fleetsyncd/monitoring/metrics.py",
        "counters.up = up_by_status(vehicle.status)",
        "counters.up = None",
        "tests/unit/test_metrics.py",
    ),
    Mutant(
        "a lost database is a cycle that does not end",
        "fleetsyncd/monitoring/metrics.py",
        "                # Or the whole outage would pass for a cycle that does not end.\n"
        "                self._cycle_ended.set(self._now())\n",
        "",
        "tests/unit/test_metrics.py",
    ),
    Mutant(
        "a flood of requests stops the main loop",
        "fleetsyncd/monitoring/http_server.py",
        "            pause()\n            self._answer()",
        "            self._answer()",
        "tests/unit/test_scrapes.py",
    ),
    Mutant(
        "a scraper that asks for nothing keeps another one out",
        "fleetsyncd/monitoring/slots.py",
        "longest_waiting.shutdown(socket.SHUT_RDWR)",
        "pass",
        "tests/unit/test_scrapes.py",
    ),
    Mutant(
        "a vehicle that is in the fleet again is purged",
        "fleetsyncd/database/removed_vehicles.py",
        "    if cursor.fetchall()[0][0]:\n        raise",
        "    if cursor.fetchall()[0][0] is None:\n        raise",
        "tests/integration/test_removal.py",
    ),
    Mutant(
        "a waiting writer ends a removal that is an hour old",
        "fleetsyncd/database/removal.py",
        '            cursor.execute("ROLLBACK TO SAVEPOINT unlocked")',
        "            raise",
        "tests/integration/test_adoption.py",
    ),
)
"""The hazards' own list comes first."""
