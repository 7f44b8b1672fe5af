package main

// waiting are those of attempts that wait for their turn.
var waiting = []mutant{
	{
		name: "a fan-out queues all its attempts at once",
		file: "delivery/fanout.go", decl: "admit",
		old:  "f.engine.admitted <- struct{}{}",
		with: "select { case f.engine.admitted <- struct{}{}: default: go func() { f.engine.admitted <- struct{}{} }() }",
		test: "delivery.TestAFanOutQueuesNoMoreAttemptsThanItsEngineCanSendSoon",
	},
	{
		name: "an attempt that waited is made from what was read before",
		file: "delivery/send.go", decl: "attemptAsRead",
		old: "if e.isOld(t) {", with: "if e.isOld(t) && t == nil {",
		test: "delivery.TestReread_WhatHasChangedWhileAnAttemptWaited",
	},
	{
		name: "an attempt is as young as it was when it was admitted",
		file: "delivery/reread.go", decl: "isOld",
		old: "> e.rereadAfter", with: "> time.Hour",
		test: "delivery.TestReread_AfterAProcessWasStoppedNothingGoesToDeletedSubscriptions",
	},
	{
		name: "a row that has moved on is sent",
		file: "delivery/reread.go", decl: "reread",
		old: "row.AttemptSeq != t.Seq", with: "row.AttemptSeq < 0",
		test: "delivery.TestReread_WhatHasChangedWhileAnAttemptWaited",
	},
	{
		name: "slow endpoints take all places of a fan-out",
		file: "delivery/fanout.go", decl: "admit",
		old: "case f.engine.wide <- struct{}{}:\n\t\t\tplace = f.engine.wide\n", with: "",
		test: "delivery.TestFanOut_SlowEndpointsDelayNoOther",
	},
}
