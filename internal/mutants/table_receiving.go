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
		file: "receiver/pginbox/inbox.go", decl: "add",
		old: "err == nil && added == 0", with: "added < 0",
		test: "receiver/pginbox.TestTheSameDeliveryFiftyTimesAtOnceHasOneJob",
	},
	{
		name: "an event is done before the writes of its Func are",
		file: "receiver/pginbox/attempt.go", decl: "finish",
		old: "queries = store.In(a.tx, a.inbox.cfg.Schema)", with: "queries = store.In(a.inbox.pool, a.inbox.cfg.Schema)",
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
		old: "a.row.Attempt >= a.rec.MaxAttempts", with: "a.row.Attempt < 0",
		test: "receiver/pginbox.TestAnEventThatKillsEachProcessFailsForGood",
	},
	{
		name: "nobody takes over the events of a process that was killed",
		file: "receiver/pginbox/work.go", decl: "deadAfter",
		old: "15 * time.Second", with: "15 * time.Hour",
		test: "receiver/pginbox.TestAProcessKilledInTheFuncHasItsEffectOnce",
	},
	{
		name: "an event whose job was lost waits for ever",
		file: "receiver/pginbox/work.go", decl: "mendJobs",
		old: "range ids", with: "range ids[:0]",
		test: "receiver/pginbox.TestAnEventWhoseJobWasLostIsProcessed",
	},
	{
		name: "an inbox is taken for the engine that prunes",
		file: "internal/store/prune.sql.gen.go",
		old:  "WHERE NOT e.inbox ", with: "",
		test: "receiver/pginbox.TestAnEngineAndAnInboxShareASchema",
	},
}
