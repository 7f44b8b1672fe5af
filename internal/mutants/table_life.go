package main

// living are those of the life of a subscription.
var living = []mutant{
	{
		name: "the rules of a subscription are not asked",
		file: "delivery/deactivate.go", decl: "judge",
		old: "rulesOf(row).Over(e.cfg.Deactivation)", with: "e.cfg.Deactivation",
		test: "delivery.TestASubscriptionsOwnRulesGoBeforeTheEngines",
	},
	{
		name: "a subscription is given up one failure late",
		file: "delivery/rules.go", decl: "reached",
		old: "float64(n) >= ", with: "float64(n) > ",
		test: "delivery.TestARuleHoldsFromItsEdgeOn",
	},
	{
		name: "what was counted in an epoch ends the next one",
		file: "internal/store/health.sql.gen.go", decl: "deactivateEpoch",
		old: "AND o.epoch = $3", with: "AND $3::integer > 0",
		test: "delivery.TestAJudgmentThatIsLateDeactivatesNothing",
	},
	{
		name: "failures before a pause count behind it",
		file: "internal/store/health.sql.gen.go", decl: "recordFailures",
		old:  "h.url_version < excluded.url_version OR h.failing_since < excluded.state_since THEN 0 ELSE h.failed_attempts END",
		with: "h.url_version < excluded.url_version THEN 0 ELSE h.failed_attempts END",
		test: "delivery.TestPausingEndsTheWindowOfFailures",
	},
	{
		name: "a success that was under way when the window began does not end it",
		file: "delivery/health.go", decl: "add",
		old: "if failing || tr.Target.Failing", with: "if tr.Target.Failing",
		test: "delivery.TestASuccessEndsAWindowThatBeganWhileItWasUnderWay",
	},
	{
		name: "a change is committed without its event",
		file: "delivery/deactivate.go", decl: "changeAndAnnounce",
		old: "return e.announce(ctx, q, []operation{op})", with: "_ = e.announce(ctx, e.store, []operation{op})\n\t\treturn nil",
		test: "delivery.TestAnOperationIsWrittenWithItsChangeOrNeitherIs",
	},
	{
		name: "owners hear of operations",
		file: "internal/store/resolve.sql.gen.go",
		old:  "AND (o.operator OR NOT r.reserved)", with: "",
		test: "delivery.TestOwnersDoNotHearOfOperations",
	},
	{
		name: "events are written that nobody can hear",
		file: "internal/store/announce.sql.gen.go", decl: "announce",
		old: "AND o.state <> 'deactivated' AND o.events && string_to_array(x.patterns, ' ')", with: "",
		test: "delivery.TestNothingIsWrittenWhereNoOperatorListens",
	},
	{
		name: "the warning of a window of Riverhook's own events is an event",
		file: "delivery/deactivate.go", decl: "judge",
		old: "&& row.AppFailed ", with: "",
		test: "delivery.TestADeadOperatorsEndpointMakesNoEndlessEvents",
	},
	{
		name: "what a circuit holds is dropped with what a pause has held",
		file: "internal/store/subscription.sql.gen.go", decl: "dropHeld",
		old: "o.hold = 'paused'", with: "o.hold <> ''",
		test: "delivery.TestWhatAPauseHeldBackIsDroppedByChoice",
	},
}
