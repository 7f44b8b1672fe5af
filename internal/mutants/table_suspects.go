package main

// suspecting are those of host code that ends its process.
var suspecting = []mutant{
	{
		name: "suspect: host code that ends its process is never given up",
		file: "delivery/internal/callbacks/caller.go",
		decl: "",
		old:  "s.ended.Runs[name] >= MaxEndedRuns",
		with: "false",
		test: "delivery.TestCallbacks_HostCodeEndsItsProcess_LaterChunks",
	},
	{
		name: "suspect: others are called at the same time",
		file: "delivery/internal/callbacks/exclusion.go",
		decl: "shared",
		old:  "	e.calls.RLock()\n	defer e.calls.RUnlock()\n",
		with: "",
		test: "delivery/internal/callbacks.TestExclusion_ASuspectIsAlone",
	},
	{
		name: "suspect: an engine that is told to stop leaves the count of its step",
		file: "delivery/internal/callbacks/calls.go",
		decl: "Stop",
		old:  "return s.mark(ctx, s.ended)",
		with: "_ = s\n	return nil",
		test: "delivery.TestCallbacks_SIGTERMMakesNoSuspect",
	},
	{
		name: "suspect: an attempt is no progress",
		file: "internal/store/delivery_record.sql.gen.go",
		decl: "recordAttempts",
		old:  "WHEN NOT i.tried OR i.outcome = 'interrupted' THEN d.ended_runs",
		with: "ELSE d.ended_runs",
		test: "delivery.TestCallbacks_ProgressBeginsTheCountOfASuspectAnew",
	},
	{
		name: "suspect: an attempt that died before its request is recorded as interrupted",
		file: "delivery/internal/send/sender.go",
		decl: "attempt",
		old:  "by.Rerun && !in.Ended.Unsent",
		with: "by.Rerun",
		test: "delivery.TestCallbacks_HostCodeEndsItsProcess_BeforeALaterAttempt",
	},
	{
		name: "suspect: a request that was sent is not recorded as interrupted",
		file: "delivery/internal/callbacks/caller.go",
		decl: "CallLast",
		old:  "c.suspect.ended.Unsent = false",
		with: "_ = c",
		test: "delivery.TestCallbacks_KillsDuringRequestsDoNotCount",
	},
	{
		name: "suspect: each chunk tries again what was given up",
		file: "internal/store/delivery_create.sql.gen.go",
		decl: "commitExpansions",
		old:  "ended_runs = c.ended_runs,",
		with: "ended_runs = NULL,",
		test: "delivery.TestCallbacks_HostCodeEndsItsProcess_LaterChunks",
	},
	{
		name: "suspect: a challenge that ends its process is asked for ever",
		file: "delivery/internal/verify/verifier.go",
		decl: "verify",
		old:  "c.Tries >= len(v.cfg.Rules.Schedule.Delays)+1+callbacks.MaxEndedRuns",
		with: "false",
		test: "delivery.TestVerify_AChallengeEndsItsProcess",
	},
}
