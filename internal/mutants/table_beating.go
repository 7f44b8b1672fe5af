package main

// beating breaks what holds between engines, and through a failover.
var beating = []mutant{
	{
		name: "an engine that was cut off hands on jobs at once",
		file: "internal/heartbeat/heart.go",
		decl: "beat",
		old:  "h.steady.IsZero() || cut",
		with: "h.steady.IsZero() || cut && false",
		test: "internal/heartbeat.TestHeart_LeavesOthersTheirTimeAfterItWasCutOff",
	},
	{
		name: "sessions that cannot write stay in the pool",
		file: "internal/heartbeat/session.go",
		decl: "sweep",
		old:  "if cannotWrite(conn.Conn().PgConn()) {",
		with: "if false {",
		test: "internal/heartbeat.TestSessions_ThoseThatCannotWriteAreClosedAndNoOthers",
	},
	{
		name: "two engines with one ID are one process",
		file: "internal/heartbeat/heart.go",
		decl: "newProcess",
		old:  "uuid.NewString()",
		with: "uuid.Nil.String()",
		test: "delivery.TestTwins_LeaveEachOthersJobsAlone",
	},
	{
		name: "jobs of a process without a heartbeat are nobody's",
		file: "internal/store/engine.sql.gen.go",
		decl: "releaseRunningJobs",
		old:  "OR NOT EXISTS (SELECT",
		with: "OR false AND NOT EXISTS (SELECT",
		test: "internal/heartbeat.TestHeart_AJobThatWasClaimedAfterItsHeartbeatHadGoneIsHandedOn",
	},
	{
		name: "who runs what is due has no heartbeat",
		file: "delivery/run_due.go",
		decl: "beatWhileDue",
		old:  "if e.isStarted() {",
		with: "if true || e.isStarted() {",
		test: "delivery.TestRunDue_OthersLeaveItItsJobs",
	},
	{
		name: "a heartbeat that gets a session which cannot write takes the database for down",
		file: "internal/heartbeat/heart.go",
		decl: "beat",
		old:  "for range sessionTries {",
		with: "for range sessionTries - sessionTries {",
		test: "internal/heartbeat.TestOutage_ASessionThatIsLeftOverIsNotTheHeartbeats",
	},
	{
		name: "an error that comes before the heartbeat notices is logged beside the outage",
		file: "internal/heartbeat/outage.go",
		decl: "look",
		old:  "_ = h.beat(ctx)",
		with: "_ = ctx",
		test: "internal/heartbeat.TestOutage_CoversWhatIsMetBeforeTheHeartbeatAndHeardAfterIt",
	},
}
