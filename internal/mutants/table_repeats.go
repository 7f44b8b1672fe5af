package main

// repeating are those of requests that are sent again.
var repeating = []mutant{
	{
		name: "a request whose stream the server names as it goes away is sent again",
		file: "egress/frames.go", decl: "forget",
		old: "stream > f.last", with: "stream >= f.last",
		test: "egress.TestClient_SendsNothingAgainThatMayHaveBeenProcessed",
	},
	{
		name: "a request whose stream was reset for any reason is sent again",
		file: "egress/frames.go", decl: "received",
		old: "case codeRefused:", with: "default:",
		test: "egress.TestClient_SendsNothingAgainThatMayHaveBeenProcessed",
	},
	{
		name: "a request that was written is sent again",
		file: "egress/exchange.go", decl: "lookedAtLine",
		old: "case s.line.shut.Load() && s.line.writes.Load() == s.writes:", with: "case s.line.shut.Load():",
		test: "egress.TestClient_SendsNothingAgainOnceSomethingIsWritten",
	},
	{
		name: "net/http may repeat a request",
		file: "egress/transport.go", decl: "send",
		old: "once.GetBody = nil", with: "once.GetBody = req.GetBody",
		test: "egress.TestAPostWithIdempotencyKeyIsNotRepeatedByAClient",
	},
	{
		name: "a request that may have been processed opens a circuit",
		file: "delivery/circuit.go", decl: "judgeEndpoint",
		old: "|| a.Unanswered && !t.Probe", with: "",
		test: "delivery.TestCircuit_IsNotOpenedByWhatMayHaveBeenProcessed",
	},
	{
		name: "a request is sent again without end",
		file: "egress/transport.go", decl: "RoundTrip",
		old: "repeats == maxRepeats", with: "repeats == 5*maxRepeats",
		test: "egress.TestClient_SendsAgainAtMostThreeTimes",
	},
	{
		name: "a connection of HTTP/1.1 takes requests as long as it likes",
		file: "egress/line.go", decl: "take",
		old: "time.AfterFunc(left, l.retire)", with: "time.AfterFunc(left+time.Hour, l.retire)",
		test: "egress.TestMaxConnAge_IdleConnectionsAreClosed",
	},
	{
		name: "a connection of HTTP/2 takes requests as long as it likes",
		file: "egress/http2.go", decl: "accept",
		old: "time.Until(l.until)", with: "time.Hour",
		test: "egress.TestMaxConnAge_IdleConnectionsAreClosed",
	},
	{
		name: "a connection that gets old breaks the request that it carries",
		file: "egress/line.go", decl: "retire",
		old: "if l.idle.Load() {", with: "{",
		test: "egress.TestMaxConnAge_RequestsUnderWayComeToTheirEnd",
	},
	{
		name: "a connection is used again whose 204 announces content",
		file: "egress/exchange.go", decl: "lookedAtLine",
		old: "case announcesMore(resp):", with: "case false:",
		test: "egress.TestClient_UsesNoConnectionAgainWhoseNoContentAnnouncesContent",
	},
}
