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
}
