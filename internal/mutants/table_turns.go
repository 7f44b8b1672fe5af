package main

// turning are the ways in which shares do not get their turns.
var turning = []mutant{
	{
		name: "no turn is taken",
		file: "delivery/internal/turns/load.go",
		decl: "look",
		old:  "behind = l.peak >= l.half()",
		with: "behind = false && l.peak >= l.half()",
		test: "delivery.TestTurns_ABacklogOfOneShareDoesNotDelayAnother",
	},
	{
		name: "a share with nothing in work waits for a place",
		file: "delivery/internal/turns/admission.go",
		decl: "enter",
		old:  "l.in == 0 || ",
		with: "",
		test: "delivery/internal/turns.TestAdmission_AShareWithNothingInWorkNeverWaits",
	},
	{
		name: "the share with the most in work is next",
		file: "delivery/internal/turns/admission.go",
		decl: "least",
		old:  "l.in < fewest ||",
		with: "l.in > fewest ||",
		test: "delivery/internal/turns.TestAdmission_FollowsItsModel",
	},
	{
		name: "a pass takes of shares that have enough",
		file: "internal/store/turn.sql.gen.go",
		old:  " AND v.tag <> ALL ($5::text[])",
		with: " AND cardinality($5::text[]) >= 0",
		test: "delivery/internal/turns.TestTaker_TakesTheOldestOfEachShareThatHasNotEnough",
	},
	{
		name: "each pass begins with the first share",
		file: "delivery/internal/turns/taker.go",
		decl: "next",
		old:  "after = max(after, rows[i].Tag)",
		with: "after = max(after, rows[i].Tag[:0])",
		test: "delivery/internal/turns.TestTaker_NoShareWaitsLongerThanItsTurnAndNothingIsLost",
	},
	{
		name: "an old run ends a job that was handed on",
		file: "internal/store/turn.sql.gen.go",
		old:  " AND r.attempt = i.attempt\n            AND r.attempted_by[array_length(r.attempted_by, 1)] = $8::text",
		with: " AND r.attempt >= i.attempt\n            AND $8::text <> ''",
		test: "delivery/internal/turns.TestTaker_AJobThatWasHandedOnIsNotEndedByItsOldRun",
	},
	{
		name: "a job whose cancellation was asked for runs again",
		file: "internal/store/turn.sql.gen.go",
		old:  "o.metadata ? 'cancel_attempted_at'",
		with: "o.metadata ? 'cancelled_at'",
		test: "delivery/internal/turns.TestContract_AJobThatATurnTookIsAsRiverWouldLeaveIt",
	},
	{
		name: "the jobs of later attempts have no share",
		file: "internal/store/delivery_record.sql.gen.go",
		old:  "job_deliver(m.id, i.share, m.due_at)",
		with: "job_deliver(m.id, nullif(i.share, i.share), m.due_at)",
		test: "delivery.TestTurns_EachJobOfAnEventHasItsShare",
	},
}
