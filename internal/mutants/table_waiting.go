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
		name: "an attempt that has waited is read again in its slot",
		file: "delivery/fanout.go", decl: "attempt",
		old: "if e.isOld(t) {", with: "if false {",
		test: "delivery.TestReread_AnAttemptOfAFanOutIsReadBeforeItHasASlot",
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
	{
		name: "a request is sent again whatever has changed meanwhile",
		file: "delivery/exchange.go", decl: "post",
		old: "return !overtaken", with: "return true",
		test: "delivery.TestReread_ARequestThatWasNotProcessedIsSentAgainByWhatIsTrueThen",
	},
	{
		name: "a slot of a former URL is good for the one of now",
		file: "delivery/send.go", decl: "attemptAsRead",
		old: "case !still || t.endpoint() != slot:", with: "case !still:",
		test: "delivery.TestReread_AnotherURLHasSlotsOfItsOwn",
	},
	{
		name: "what is read before a wait is recorded is sent",
		file: "delivery/circuit.go", decl: "judgeEndpoint",
		old: "time.Now().Add(writeTimeout)", with: "time.Now()",
		test: "delivery.TestCircuit_HoldsWhatIsReadBeforeAWaitIsRecorded",
	},
	{
		name: "a run that could not write down that it came back has ended its process",
		file: "delivery/suspect.go", decl: "back",
		old: "s.quiet.back[s.run] = s.ended.Runs", with: "",
		test: "delivery.TestSuspect_ReturnsThatCannotBeWrittenDown",
	},
}
