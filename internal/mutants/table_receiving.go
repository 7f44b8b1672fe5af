package main

// receiving are those of what takes webhooks in.
var receiving = []mutant{
	{
		name: "a receiver takes what is not signed",
		file: "receiver/accept.go", decl: "verify",
		old: "case err == nil:", with: "case err == nil || body == nil:",
		test: "receiver.TestABadSignatureIs401",
	},
	{
		name: "who has a token sees the events of others",
		file: "receiver/handler.go", decl: "resolve",
		old: "t.owner = owner", with: "t.owner = owner[:0]",
		test: "receiver.TestWhatIsNotThereIs404",
	},
	{
		name: "credentials of a sender are stored",
		file: "receiver/redact.go",
		old:  "out[name] = []string{redacted}", with: "out[name] = values",
		test: "receiver.TestAnEventHasWhatCame",
	},
	{
		name: "a delivery that comes after its deletion ends the subscription",
		file: "receiver/answer.go",
		old:  "if s.State == Gone {", with: "if s.State == \"\" {",
		test: "receiver.TestADeletedEventIsGone",
	},
	{
		name: "the memory takes the same delivery twice",
		file: "receiver/memory.go",
		old:  "m.byKey[key]; known {", with: "m.byKey[key]; known && false {",
		test: "receiver.TestMemoryIsAnInbox",
	},
	{
		name: "a delivery that is known leaves a job",
		file: "internal/store/inbox.sql.gen.go", decl: "addInboxEvent",
		old: "DO NOTHING", with: "DO UPDATE SET job_id = excluded.job_id",
		test: "receiver/pginbox.TestTheSameDeliveryFiftyTimesAtOnceHasOneJob",
	},
	{
		name: "an event is done before the writes of its Func are",
		file: "receiver/pginbox/attempt.go", decl: "commit",
		old: "store.In(a.tx, a.inbox.cfg.Schema)", with: "store.In(a.inbox.pool, a.inbox.cfg.Schema)",
		test: "receiver/pginbox.TestAnAttemptWhoseTransactionCannotCommitHasFailed",
	},
	{
		name: "an attempt that was overtaken is recorded",
		file: "internal/store/inbox.sql.gen.go", decl: "finishInboxAttempt",
		old: "e.attempt = $5", with: "e.attempt >= $5",
		test: "receiver/pginbox.TestAnAttemptThatWasOvertakenChangesNothing",
	},
	{
		name: "what a deleted event's Func has written is committed",
		file: "internal/store/inbox.sql.gen.go", decl: "finishInboxAttempt",
		old: "e.state = 'pending' AND ", with: "",
		test: "receiver/pginbox.TestTheWritesOfADeletedEventAreRolledBack",
	},
	{
		name: "an event that kills each process is run for ever",
		file: "receiver/pginbox/attempt.go", decl: "run",
		old: "a.inRound() > a.rec.MaxAttempts", with: "a.row.Attempt < 0",
		test: "receiver/pginbox.TestAnEventThatKillsEachProcessFailsForGood",
	},
	{
		name: "nobody takes over the events of a process that was killed",
		file: "internal/heartbeat/heart.go", decl: "DeadAfter",
		old: "15 * time.Second", with: "15 * time.Hour",
		test: "receiver/pginbox.TestAProcessKilledInTheFuncHasItsEffectOnce",
	},
	{
		name: "an event whose job was lost waits for ever",
		file: "internal/store/inbox.sql.gen.go", decl: "reconcileInbox",
		old: "AND NOT l.waits", with: "AND l.waits",
		test: "receiver/pginbox.TestAnEventWhoseJobWasLostIsProcessed",
	},
	{
		name: "a job that a wrong clock has put off is not found",
		file: "internal/store/inbox.sql.gen.go", decl: "reconcileInbox",
		old: "j.scheduled_at > now() + interval '2 minutes'", with: "j.scheduled_at > now() + interval '2 years'",
		test: "receiver/pginbox.TestLateJobs_AreFoundAndBegin",
	},
	{
		name: "a job that is not due is taken for a late one",
		file: "internal/store/inbox.sql.gen.go", decl: "reconcileInbox",
		old: "AND e.due_at <= now()", with: "AND e.due_at <= now() + interval '1 day'",
		test: "receiver/pginbox.TestLateJobs_OneThatIsNotDueIsLetBe",
	},
	{
		name: "a delivery that comes again leaves its event failed",
		file: "receiver/pginbox/inbox.go", decl: "add",
		old: "reopen(ctx, queries, failed, wait)", with: "reopen(ctx, queries, failed[:0], wait)",
		test: "receiver/pginbox.TestPostgresIsAnInbox",
	},
	{
		name: "the memory opens an event again that is done",
		file: "receiver/memory.go", decl: "Add",
		old: "e.status.State == Failed", with: "e.status.State != Pending",
		test: "receiver.TestMemoryIsAnInbox",
	},
	{
		name: "an event that is retried has its attempts of before",
		file: "receiver/pginbox/attempt.go", decl: "inRound",
		old: "a.number() - a.row.AttemptsBefore", with: "a.number()",
		test: "receiver/pginbox.TestRetry_OfAnEventThatKilledEachProcessCountsAnew",
	},
	{
		name: "a retry begins an attempt beside the one under way",
		file: "internal/store/inbox.sql.gen.go", decl: "hastenInboxEvent",
		old: "AND e.error <> ''", with: "",
		test: "receiver/pginbox.TestRetry_OfAnEventUnderWayChangesNothing",
	},
	{
		name: "a retry by a filter goes on with what fails meanwhile",
		file: "internal/store/inbox.sql.gen.go", decl: "failedInboxEvents",
		old: "e.ended_at < $1::timestamptz", with: "e.ended_at < 'infinity' AND $1::timestamptz IS NOT NULL",
		test: "receiver/pginbox.TestRetryMany_TakesEachThatHadFailedOnce",
	},
	{
		name: "an inbox is at the database's isolation when it stores",
		file: "receiver/pginbox/inbox.go", decl: "readCommitted",
		old: "pgx.TxOptions{IsoLevel: pgx.ReadCommitted}", with: "pgx.TxOptions{}",
		test: "receiver/pginbox.TestIsolation_PostgresIsAnInboxUnderEach",
	},
	{
		name: "the id of an event is looked for in headers of other schemes",
		file: "receiver/receiver.go", decl: "withDefaults",
		old: "case identifies:", with: "case identifies && r.Name == \"\":",
		test: "receiver.TestDeliveryID_IsLookedForInTheOnePlaceOfTheScheme",
	},
	{
		name: "an inbox is taken for the engine that prunes",
		file: "internal/store/prune.sql.gen.go",
		old:  "WHERE NOT e.inbox ", with: "",
		test: "receiver/pginbox.TestAnEngineAndAnInboxShareASchema",
	},
}
