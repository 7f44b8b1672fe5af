package main

// circuits are those of the circuits of endpoints, and of the URLs that they are of.
var circuits = []mutant{
	{
		name: "two deliveries are the probe of an endpoint at once",
		file: "delivery/circuit.go", decl: "claimProbe",
		old: "case !rows[0].Claimed:", with: "case false:",
		test: "delivery.TestCircuit_NeverTwoProbes",
	},
	{
		name: "a retry waits for the end of the pause of its circuit",
		file: "internal/store/health.sql.gen.go", decl: "claimProbe",
		old: "::boolean OR (c.circuit_until", with: "::boolean AND false OR (c.circuit_until",
		test: "delivery.TestCircuit_ADeliveryAloneKeepsItsSchedule",
	},
	{
		name: "a late answer of a former URL counts for the new one",
		file: "internal/store/health.sql.gen.go", decl: "recordFailures",
		old: "x.url_version = s.url_version IS NOT FALSE", with: "true",
		test: "delivery.TestAnotherURL_LateAnswersOfTheFormerOne",
	},
	{
		name: "what a person wants at once waits for the circuit",
		file: "delivery/circuit.go", decl: "circuitGate",
		old: "case t.AtOnce:", with: "case false:",
		test: "delivery.TestRedeliver_PassesTheCircuit",
	},
	{
		name: "what a person wants at once waits for another probe",
		file: "internal/store/health.sql.gen.go", decl: "claimProbe",
		old: "AND ($6::boolean OR", with: "AND ($6::boolean AND false OR",
		test: "delivery.TestRedeliver_PassesTheCircuit",
	},
	{
		name: "all attempts of a delivery are wanted at once",
		file: "internal/store/delivery.sql.gen.go", decl: "recordAttempts",
		old: "at_once = d.at_once AND NOT i.tried,", with: "",
		test: "delivery.TestRedeliver_PassesTheCircuit",
	},
	{
		name: "a delivery that is being sent is sent once more",
		file: "internal/store/redeliver.sql.gen.go", decl: "redeliver",
		old: "(d.hold <> '' OR d.due_at > clock_timestamp()) AS waits", with: "true AS waits",
		test: "delivery.TestRedeliver_LeavesWhatIsUnderWay",
	},
	{
		name: "a ping releases what waits for another URL",
		file: "internal/store/redeliver.sql.gen.go", decl: "endWaits",
		old: "AND s.url_version = $2 ", with: "AND $2 = $2 ",
		test: "delivery.TestPingWith_ReleasesNothingElsewhere",
	},
}

// recovering are those of what has failed, or was cancelled, and is brought back.
var recovering = []mutant{
	{
		name: "decisions that are made again trickle",
		file: "delivery/redecide.go", decl: "redecideStep",
		old: "e.scheduleDecide(ctx, by, in, tried, ", with: "e.scheduleDecide(ctx, by, in, tried[:0], ",
		test: "delivery.TestRetryFailed_GoesThroughALargeFanOutWithoutWaiting",
	},
	{
		name: "what a deactivation has cancelled is pruned",
		file: "internal/store/prune.sql.gen.go", decl: "lockSurplus",
		old:  "o.id <= newest.id AND o.state <> 'pending' AND NOT (o.state = 'cancelled' AND o.epoch = s.epoch - 1)",
		with: "o.id <= newest.id AND o.state <> 'pending'",
		test: "delivery.TestRecover_FindsAllThatADeactivationEnded",
	},
	{
		name: "what a deactivation is about to cancel is not brought back",
		file: "internal/store/redeliver.sql.gen.go", decl: "recoverDeliveries",
		old: "AND (d.state <> 'pending' OR d.epoch < s.epoch)", with: "AND d.state <> 'pending'",
		test: "delivery.TestRecover_TakesWhatADeactivationIsAboutToEnd",
	},
	{
		name: "an explanation is of two moments",
		file: "delivery/explain_snapshot.go", decl: "inSnapshot",
		old: "pgx.RepeatableRead", with: "pgx.ReadCommitted",
		test: "delivery.TestExplain_HasALineForEachWhileTheExpansionGoesOn",
	},
	{
		name: "who was deleted before the expansion has no line",
		file: "internal/store/explain.sql.gen.go", decl: "explainOthers",
		old: "s.deleted_at IS NULL OR s.deleted_at >= i.created_at AND", with: "s.deleted_at IS NULL OR false AND",
		test: "delivery.TestExplain_HasALineForOneThatWasDeletedBeforeTheExpansion",
	},
	{
		name: "a stop cuts a hook of maintenance off",
		file: "delivery/hook_calls.go", decl: "begin",
		old: "context.WithoutCancel(ctx)", with: "ctx",
		test: "delivery.TestStop_LetsHooksComeToTheirEnd",
	},
	{
		name: "a stop leaves a hook behind",
		file: "delivery/hook_calls.go", decl: "close",
		old: "if under == 0 {", with: "if under >= 0 {",
		test: "delivery.TestStop_InterruptsHooks",
	},
	{
		name: "a hook that has returned looks interrupted",
		file: "delivery/hook_calls.go", decl: "callHook",
		old: "defer e.hooks.end(call)", with: "defer e.hooks.end(call); defer call.cancel(nil)",
		test: "delivery.TestHooks_OnlyThoseThatFailAreLogged",
	},
	{
		name: "a hook is told of pings and questions",
		file: "delivery/hooks.go", decl: "keepAnswer",
		old: " || !t.hasRow()", with: "",
		test: "delivery.TestHooks_DeliveryDeliveredIsToldTheAnswer",
	},
}
