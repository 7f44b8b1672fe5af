package main

// asking are those of questions and the gates that they are put to.
var asking = []mutant{
	{
		name: "patterns of events match questions",
		file: "hierarchy/eventtype.go", decl: "MatchPattern",
		old: "if forQuestions != isQuestion {", with: "if forQuestions && !isQuestion {",
		test: "hierarchy.TestPatternsOfQuestions",
	},
	{
		name: "a question is not put to gates of umbrella types",
		file: "hierarchy/resolver.go", decl: "resolveParams",
		old: "p.Prefixes = append(p.Prefixes, prefix)", with: `p.Prefixes = append(p.Prefixes, prefix[:0])`,
		test: "delivery.TestGatesOfUmbrellaTypesAreAsked",
	},
	{
		name: "a veto whose body is late is an answer that is late",
		file: "delivery/request.go", decl: "send",
		old: "if a.Veto != nil {", with: "if a.Veto != nil && a.Outcome == OutcomeDelivered {",
		test: "delivery.TestAnswersToQuestions",
	},
	{
		name: "a gate that fails closed fails open",
		file: "delivery/gate.go", decl: "verdict",
		old: "g.Outcome == GateUnanswered && g.FailClosed", with: "false",
		test: "delivery.TestAGateThatDoesNotAnswerFailsOpenOrClosed",
	},
	{
		name: "a gate that fails open fails closed",
		file: "delivery/gate.go", decl: "verdict",
		old: "&& g.FailClosed", with: "",
		test: "delivery.TestAGateThatDoesNotAnswerFailsOpenOrClosed",
	},
	{
		name: "a gate behind an open circuit is asked",
		file: "delivery/ask_gate.go", decl: "askOne",
		old: "t.subscriptionGate(time.Now())", with: "t.subscriptionGate(time.Now().Add(9 * time.Hour))",
		test: "delivery.TestAGateThatDoesNotAnswerFailsOpenOrClosed",
	},
	{
		name: "gates are asked one after another",
		file: "delivery/ask_gate.go", decl: "askAll",
		old: "wg.Go(func() {", with: "wg.Wait()\n\t\twg.Go(func() {",
		test: "delivery.TestGatesAreAskedInParallel",
	},
	{
		name: "host code has all the time that gates have",
		file: "delivery/ask.go", decl: "decideGates",
		old: "time.Until(deadline)/2", with: "time.Until(deadline)",
		test: "delivery.TestACheckerThatHangsKeepsItsOwnGatesAlone",
	},
	{
		name: "silence is consent when who asks has left",
		file: "delivery/ask.go", decl: "Ask",
		old: "if err == nil && errors.Is(ctx.Err(), context.Canceled) {", with: "if err == nil && false {",
		test: "delivery.TestWhoAsksCanLeave",
	},
	{
		name: "a question is sent again",
		file: "internal/store/redeliver.sql.gen.go",
		old:  "        NOT starts_with(d.matched_pattern, 'before:') AND NOT d.erased",
		with: "        NOT d.erased",
		test: "delivery.TestAQuestionIsNeverSentAgain",
	},
	{
		name: "rules for events are not for questions",
		file: "delivery/history_rules.go", decl: "of",
		old: "hierarchy.MatchPattern(rule.Pattern, event)", with: "event == rule.Pattern",
		test: "delivery.TestRulesForEventsHoldForQuestionsAboutTheSame",
	},
	{
		name: "questions that fail exhaust",
		file: "delivery/ask_gate.go", decl: "answered",
		old: "tr.State, tr.Reason = stateCancelled,", with: "tr.State, tr.Reason = stateExhausted,",
		test: "delivery.TestQuestionsCountForAndAgainstTheirEndpoint",
	},
}
