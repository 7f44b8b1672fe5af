package main

var moving = []mutant{
	// Transitions: the row decides.
	{
		name: "a record moves a delivery that has moved on",
		file: "internal/store/delivery_record.sql.gen.go",
		decl: "recordAttempts",
		old:  " AND f.attempt_seq = i.seq AS fits",
		with: " AS fits",
		test: "delivery.TestCancel_TheWorkerLeavesACancelledDeliveryAlone",
	},
	{
		name: "a record moves a delivery that has ended",
		file: "internal/store/delivery_record.sql.gen.go",
		decl: "recordAttempts",
		old:  "f.state = 'pending' AND f.attempt_seq = i.seq AS fits",
		with: "true AS fits",
		test: "delivery.TestRecord_KeepsAZombiesAnswer",
	},
	{
		name: "an expansion that was overtaken is committed",
		file: "internal/store/delivery_create.sql.gen.go",
		decl: "commitExpansions",
		old:  "AND s.after = c.after",
		with: "",
		test: "delivery.TestExpand_AnExpansionThatWasOvertakenByAChunkWritesNothing",
	},
	{
		name: "the expansion of an intent that was cancelled is committed",
		file: "internal/store/delivery_create.sql.gen.go",
		decl: "commitExpansions",
		old:  "AND s.state = 'pending'",
		with: "",
		test: "delivery.TestExpand_AnIntentThatWasCancelledWritesNothing",
	},
	{
		name: "a job sends a delivery that another job carries",
		file: "delivery/internal/send/loader.go",
		decl: "read",
		old:  "|| *in.JobID != by.JobID",
		with: "",
		test: "delivery.TestSend_AJobThatDoesNotCarryItsDeliverySendsNothing",
	},
	{
		name: "a record waits for a delivery that an application holds",
		file: "internal/store/delivery_record.sql.gen.go",
		decl: "recordAttempts",
		old:  "FOR UPDATE SKIP LOCKED",
		with: "FOR UPDATE",
		test: "delivery.TestRecord_OneThatMeetsARowOfTheApplicationDelaysNoOther",
	},
	{
		name: "a planned retry has no job",
		file: "internal/store/delivery_record.sql.gen.go",
		decl: "recordAttempts",
		old:  "WHERE m.again",
		with: "WHERE false",
		test: "delivery.TestReconcile_ADeliveryWhoseRiverJobIs",
	},
	{
		name: "a release takes what is not held",
		file: "internal/store/delivery_hold_release.sql.gen.go",
		decl: "releaseHeld",
		old:  "AND o.hold NOT IN ('', 'cause')",
		with: "",
		test: "delivery.TestRelease_LeavesWhatIsUnderWay",
	},
	{
		name: "a release takes the newest first",
		file: "internal/store/delivery_hold_release.sql.gen.go",
		decl: "releaseHeld",
		old:  "ORDER BY o.intent_id",
		with: "ORDER BY o.intent_id DESC",
		test: "delivery.TestRelease_ManyThatAPauseHeldGoOnInOrder",
	},
	{
		name: "a delivery whose job lives is believed lost",
		file: "internal/migration/sql/functions/job_lost.1.sql",
		old:  "SELECT id IS NULL OR",
		with: "SELECT true OR id IS NULL OR",
		test: "delivery.TestReconcile_LeavesALivingEngineWhatItHasUnderWay",
	},
	{
		name: "a release waits for a delivery that an application holds",
		file: "internal/store/delivery_hold_release.sql.gen.go",
		decl: "releaseHeld",
		old:  "FOR UPDATE SKIP LOCKED",
		with: "FOR UPDATE",
		test: "delivery.TestRecord_AnApplicationThatHoldsADeliveryDelaysNoOther",
	},
	{
		name: "an engine that lives is believed dead",
		file: "internal/store/engine.sql.gen.go",
		decl: "releaseRunningJobs",
		old:  "\n    WHERE o.heartbeat_at NOT BETWEEN",
		with: "\n    WHERE o.heartbeat_at BETWEEN",
		test: "delivery.TestReconcile_LeavesALivingEngineWhatItHasUnderWay",
	},
	{
		name: "the death of one engine hands on the jobs of all",
		file: "internal/store/engine.sql.gen.go",
		decl: "releaseRunningJobs",
		old:  "o.attempted_by[array_length(o.attempted_by, 1)] IN (SELECT dead.process FROM dead)",
		with: "EXISTS (SELECT FROM dead)",
		test: "delivery.TestReconcile_LeavesALivingEngineWhatItHasUnderWay",
	},
	{
		name: "an engine takes its own job for lost",
		file: "internal/store/engine.sql.gen.go",
		decl: "releaseRunningJobs",
		old:  "o.id <> ALL ($2::bigint[])",
		with: "$2::bigint[] IS NOT NULL",
		test: "delivery.TestHeartbeat_AJobStaysItsEnginesOwnHoweverLongItTakes",
	},
	{
		name: "a job that was lost on its way to an engine stays lost",
		file: "internal/store/engine.sql.gen.go",
		decl: "releaseRunningJobs",
		old:  "o.attempted_by[array_length(o.attempted_by, 1)] = $3::text",
		with: "$3::text = ''",
		test: "delivery.TestRiver_AJobThatWasLostOnItsWayToTheEngineIsFetchedAgain",
	},
	{
		name: "an engine whose heartbeat is in the future is believed to live",
		file: "internal/store/engine.sql.gen.go",
		decl: "releaseRunningJobs",
		old:  "\n        AND now() + $1",
		with: "\n        AND now() + 1000 * $1",
		test: "delivery.TestClock_ThatOfTheDatabaseSetBackKeepsNoDeadEngineAlive",
	},
	{
		name: "an engine that stops keeps what River could not complete",
		file: "internal/store/engine.sql.gen.go",
		decl: "removeEngine",
		old:  "WHERE j.state = 'running'",
		with: "WHERE false",
		test: "delivery.TestStop_LeavesNoJobBehind",
	},
	{
		name: "a retry that River's leader forgets is forgotten",
		file: "internal/migration/sql/functions/job_lost.1.sql",
		old:  "scheduled_at < now() - late_ms * interval '1 millisecond'",
		with: "false",
		test: "delivery.TestRiver_ARetryGoesOnWithoutItsLeader",
	},
	{
		name: "an intent is not watched any more while first attempts are under way",
		file: "internal/store/intent.sql.gen.go",
		decl: "watchIntents",
		old:  "AND n.intent_id NOT IN (SELECT p.intent_id FROM part p WHERE p.first)",
		with: "",
		test: "delivery.TestReconcile_AFirstAttemptWhoseRiverJobIs",
	},
	{
		name: "lost first attempts are not looked for",
		file: "internal/store/intent.sql.gen.go",
		decl: "watchIntents",
		old:  "WHERE p.first AND p.due_at <",
		with: "WHERE false AND p.due_at <",
		test: "delivery.TestReconcile_AFirstAttemptWhoseRiverJobIs",
	},
	{
		name: "a job that a wrong clock put off waits",
		file: "internal/migration/sql/functions/job_lost.1.sql",
		old:  "scheduled_at > now() + early_ms * interval '1 millisecond'",
		with: "false",
		test: "delivery.TestClock_AJobThatAWrongOnePutOffIsNotForgotten",
	},
	{
		name: "a retry is due by another clock than the database's",
		file: "internal/store/delivery_record.sql.gen.go",
		decl: "recordAttempts",
		old:  "now() + i.wait",
		with: "pg_catalog.now() + i.wait",
		test: "delivery.TestClock_AnEngineWhoseOwnIsWrongGoesByTheDatabases",
	},

	// The order of things: rows, request, record, River.
	{
		name: "deliveries are committed after the first request",
		file: "delivery/internal/expand/committer.go",
		decl: "commitAll",
		old:  "		return outs, commit(c.frequent)\n",
		with: `		tx, err := c.cfg.DB.Begin(context.WithoutCancel(ctx))
		if err != nil {
			return nil, err
		}
		go func() {
			_, _ = c.cfg.DB.Exec(context.WithoutCancel(ctx), "SELECT pg_sleep(1)")
			_ = tx.Commit(context.WithoutCancel(ctx))
		}()
		return outs, commit(store.In(tx, c.cfg.Schema))
`,
		test: "delivery.TestRecord_WhenARequestArrivesItsDeliveryIsThereAndItsAttemptIsNot",
	},
	{
		name: "an attempt is recorded before its request",
		file: "delivery/internal/send/sender.go",
		decl: "request",
		old:  "header, _ := s.Requester.Send(ctx, in, built, a)\n",
		with: `early := *a
	early.Outcome = attempt.OutcomeDelivered
	_ = s.record(ctx, in.After(&early, schedule, s.Random))
	header, _ := s.Requester.Send(ctx, in, built, a)
`,
		test: "delivery.TestRecord_WhenARequestArrivesItsDeliveryIsThereAndItsAttemptIsNot",
	},
	{
		name: "a job does not wait until its attempt is recorded",
		file: "delivery/internal/record/recorder.go",
		decl: "Record",
		old:  "became, err := r.records.Do(ctx, tr)",
		with: `became, err := moved, error(nil)
				go func() { _, _ = r.records.Do(context.WithoutCancel(ctx), tr) }()`,
		test: "delivery.TestRecord_AJobEndsOnlyWhenItsAttemptIsRecorded",
	},
	{
		name: "an answer whose record fails is given up",
		file: "delivery/internal/record/recorder.go",
		decl: "Record",
		old:  "r.isPassing(err) &&",
		with: "false &&",
		test: "delivery.TestDatabase_ConnectionsThatAreCutLoseAndDoubleNothing",
	},
	{
		name: "a failure that is recorded again counts again",
		file: "delivery/internal/record/recorder.go",
		decl: "write",
		old:  "case ok:",
		with: "default:",
		test: "delivery.TestRecord_AFailureThatIsRecordedTwiceCountsOnce",
	},
	{
		name: "a batch answers before it is flushed",
		file: "internal/batch/batch.go",
		decl: "run",
		old:  "g.settleAll(calls)",
		with: "go g.settleAll(calls)",
		test: "internal/batch.TestGroup_AnItemIsDoneWhenItsFlushIs",
	},
	{
		name: "a request that a crash cut off is not recorded",
		file: "delivery/internal/send/sender.go",
		decl: "attempt",
		old:  "if by.Rerun && !in.Ended.Unsent {",
		with: "if false {",
		test: "delivery.TestCrash_BetweenTheAnswerAndTheRecordSendsAgain",
	},
	{
		name: "a re-run forgets what an earlier run has left",
		file: "delivery/internal/expand/expander.go",
		decl: "expand",
		old:  "if by.Rerun || !expands {",
		with: "if false {",
		test: "delivery.TestRerun_GoesOnWithWhatItsPredecessorHasCommitted",
	},
}
