package main

// verifying are those of endpoints that must prove that they want requests.
var verifying = []mutant{
	{
		name: "an answer to a question that was replaced proves the URL that replaced it",
		file: "internal/store/verify.sql.gen.go", decl: "recordProof",
		old: "AND (c.id = $2::uuid OR c.url = $3::text)", with: "AND ($2::uuid IS NOT NULL OR c.url = $3::text)",
		test: "hierarchy.TestURLsFollowTheirModel",
	},
	{
		name: "a new URL is in force at once",
		file: "hierarchy/subscription_verify.go", decl: "settleURL",
		old: "sub.URL, sub.PendingURL = former.URL, *u.URL", with: "sub.URL = *u.URL",
		test: "hierarchy.TestANewURLTakesOverWhenItIsProven",
	},
	{
		name: "activation is a way around the proof",
		file: "hierarchy/subscription_state.go", decl: "activate",
		old: "sub.unproven() && sub.State != StateActive", with: "false",
		test: "hierarchy.TestURLsFollowTheirModel",
	},
	{
		name: "a URL that replaces one that is not in force counts as proven",
		file: "hierarchy/subscription_verify.go", decl: "settleURL",
		old: `sub.PendingURL, sub.VerifiedAt = "", nil`, with: `sub.PendingURL = ""`,
		test: "hierarchy.TestURLsFollowTheirModel",
	},
	{
		name: "credentials follow to another host that was proven",
		file: "internal/store/verify.sql.gen.go", decl: "recordProof",
		old: "WHERE v.elsewhere AND a.subscription_id", with: "WHERE false AND a.subscription_id",
		test: "hierarchy.TestCredentialsNeverComeToAHostThatIsToBeProven",
	},
	{
		name: "a challenge carries the credentials of another host",
		file: "delivery/verify.go", decl: "challengeTarget",
		old: "t.Auth = t.Auth.at(c.URL)", with: "",
		test: "delivery.TestANewURLIsAskedWhileTheFormerOneIsInForce",
	},
	{
		name: "any 2xx proves",
		file: "delivery/verify.go", decl: "exchangeProof",
		old: "&& !proves(", with: "&& false && !proves(",
		test: "delivery.TestAnAnswerThatProvesNothingIsSaidSo",
	},
	{
		name: "two engines ask the same endpoint",
		file: "internal/store/verify.sql.gen.go", decl: "claimChallenges",
		old: "asking_until = now() + $1::bigint * interval '1 millisecond'", with: "asking_until = CASE WHEN $1::bigint < 0 THEN now() END",
		test: "delivery.TestAProofThatWasNotRecordedIsAskedForAgain",
	},
	{
		name: "an endpoint is asked as often as anybody likes",
		file: "internal/store/verify.sql.gen.go", decl: "claimChallenge",
		old: "(c.asked_at IS NULL OR c.asked_at <= now() - $3::bigint * interval '1 millisecond')", with: "($3::bigint > 0)",
		test: "delivery.TestNobodyHasAnEndpointAskedOften",
	},
	{
		name: "a host is asked as often as it has subscriptions",
		file: "internal/store/verify.sql.gen.go", decl: "claimChallenges",
		old: "DO UPDATE SET asked_at = now()", with: "DO UPDATE SET asked_at = h.asked_at",
		test: "delivery.TestNobodyHasAnEndpointAskedOften",
	},
	{
		name: "a host that does not answer takes all questions",
		file: "internal/store/verify.sql.gen.go", decl: "claimChallenges",
		old: "WHERE a.host = host.host AND a.asking_until > now())", with: "WHERE a.host = host.host AND a.asking_until < now())",
		test: "delivery.TestChallenges_OfASilentHostLeaveRoom",
	},
	{
		name: "an echo of the request passes for a proof",
		file: "delivery/challenge.go", decl: "repeats",
		old: "== ChallengeEventType", with: `== ChallengeEventType+"."`,
		test: "delivery.TestChallenge_AnEchoOfTheBodyProvesNothing",
	},
	{
		name: "what must be proven hears of events",
		file: "delivery/decide.go", decl: "inactiveReason",
		old: "case hierarchy.StatePendingVerification:", with: `case "never":`,
		test: "delivery.TestWhatHappensBeforeTheProofIsInactive",
	},
}
