package main

// ruling are those of who may do what with subscriptions.
var ruling = []mutant{
	{
		name: "what may not be viewed is denied, and so there",
		file: "hierarchy/principal.go", decl: "allowed",
		old: "errors.Is(answers[0], access.ErrDenied)", with: "false",
		test: "hierarchy.TestEachMethodAsksForItsRight",
	},
	{
		name: "what a subscription becomes is not asked about",
		file: "hierarchy/principal.go", decl: "allowed",
		old: "!reflect.DeepEqual(now, then)", with: "!reflect.DeepEqual(now, now)",
		test: "hierarchy.TestAnUpdateAsksForWhatTheSubscriptionBecomes",
	},
	{
		name: "a subscription that has changed since the question is changed",
		file: "hierarchy/principal.go", decl: "unchanged",
		old: "return errHasChanged", with: "return nil",
		test: "hierarchy.TestWhatHasChangedSinceTheQuestionIsAskedAgain",
	},
	{
		name: "a full page of a principal is the last",
		file: "hierarchy/principal_list.go", decl: "list",
		old: "len(shown) > o.Limit", with: "len(shown) >= o.Limit",
		test: "hierarchy.TestPrincipalList_TellsNothingOfOthers",
	},
	{
		name: "a page of a principal ends where a step of the look-up does",
		file: "hierarchy/principal_list.go", decl: "list",
		old: "len(subs) < step", with: "len(subs) < step || step == judgeStep",
		test: "hierarchy.TestPrincipalList_TellsNothingOfOthers",
	},
	{
		name: "an owner is shown the deliveries of all",
		file: "delivery/principal_history.go", decl: "judged",
		old: "may = may && err == nil", with: "may = true",
		test: "delivery.TestPrincipalDeliveries_TellNothingOfOthers",
	},
	{
		name: "an owner is told what checkers say",
		file: "delivery/owner_view.go", decl: "ownersReason",
		old: "strings.HasPrefix(reason, c.prefix)", with: `c.prefix == ""`,
		test: "delivery.TestOwner_SeesTheClassOfWhyADeliveryWaitsOrEnded",
	},
	{
		name: "owners are shown what a tree has said",
		file: "delivery/place.go", decl: "placeReason",
		old: "reasonNoPlace + brief(err)", with: `"unknown: " + brief(err)`,
		test: "delivery.TestOwner_SeesTheClassOfWhyAPlaceIsUnknown",
	},
	{
		name: "owners are shown what a dialect has said",
		file: "delivery/owner_view.go", decl: "hideHost",
		old: "strings.HasPrefix(a.Error, reasonDialect)", with: "false",
		test: "delivery.TestOwner_SeesTheClassOfWhyARequestWasNotBuilt",
	},
	{
		name: "a revocation leaves a secret that the dialect cannot sign with",
		file: "hierarchy/subscription_revoke.go", decl: "prepareRevocation",
		old: "err = s.cfg.checkSecret(sub.Dialect, left)", with: "_ = left",
		test: "delivery.TestRevokeSecret_LeavesOneThatFits",
	},
	{
		name: "who was denied is told of what",
		file: "delivery/principal_explain.go", decl: "forOwner",
		old: "x.Intent = IntentRecord{ID: x.Intent.ID}", with: "x.Intent.Attributes = nil",
		test: "delivery.TestExplain_HasALineForEachSubscriptionOfAnOwner",
	},
	{
		name: "an owner is told by which pattern it was denied",
		file: "delivery/principal_explain.go", decl: "forOwner",
		old: `s.MatchedSite, s.MatchedPattern, s.Attempts = "", "", 0`, with: "s.Attempts = 0",
		test: "delivery.TestExplain_HasALineForEachSubscriptionOfAnOwner",
	},
	{
		name: "managers subscribe at the root",
		file: "access/site_managers.go", decl: "allows",
		old: `a.Verb == VerbCreate && chain[0] == root`, with: "false",
		test: "access.TestSiteManagersKeepTheContract",
	},
	{
		name: "an unknown verb is as any other",
		file: "access/site_managers.go", decl: "authorize",
		old: " || !slices.Contains(Verbs(), a.Verb)", with: "",
		test: "access.TestSiteManagersKeepTheContract",
	},
	{
		name: "nobody may do what anybody may",
		file: "access/authorizer.go", decl: "AuthorizeMany",
		old: `a.Principal == ""`, with: "false",
		test: "access.TestAGuardFailsClosed",
	},
	{
		name: "a confined store deletes elsewhere",
		file: "hierarchy/subscription_delete.go", decl: "remove",
		old: "string(s.cfg.RootSite)", with: `"/"`,
		test: "hierarchy.TestEachMethodOfAConfinedStoreKeepsToItsSubtree",
	},
	{
		name: "a principal creates at a site that was not asked about",
		file: "hierarchy/subscription_tree.go", decl: "checkStanding",
		old: "now.token != asked.token", with: "now.token == \"\"",
		test: "hierarchy.TestPrincipal_ASiteThatIsMadeAnewAfterTheQuestion",
	},
	{
		name: "access is judged by the recorded path",
		file: "delivery/target.go", decl: "accessRequest",
		old: "Site: at.Site", with: "Site: access.Path(ev.Site)",
		test: "delivery.TestAccess_SiteIsThePlaceOfNow",
	},
	{
		name: "a removal does not wait for what is being created",
		file: "hierarchy/subscription_delete_owner.go", decl: "tryLockOwned",
		old: `s.passGates(ctx, tx, owner, "")`, with: `s.passGates(ctx, tx, "", "")`,
		test: "hierarchy.TestDeleteByOwner_WaitsForWhatIsBeingMade",
	},
	{
		name: "a removal does not hold the sites whose subscriptions it deletes",
		file: "hierarchy/subscription_delete_owner.go", decl: "removeAll",
		old: `r.above != "" || r.under != Root`, with: "false",
		test: "hierarchy.TestDeleteByOwner_AboveAPathThatIsMadeAnew",
	},
	{
		name: "a removal takes what has come after the tree's answer",
		file: "hierarchy/subscription_delete_owner.go", decl: "removeAll",
		old: "!slices.Equal(ids, r.seen)", with: "false",
		test: "hierarchy.TestDeleteByOwner_WhatMovesBeforeItIsLocked",
	},
	{
		name: "a change of the tree that waits keeps others waiting",
		file: "hierarchy/site.go", decl: "lock",
		old: "store.LockSitesPatiently(ctx, tx, s.cfg.Schema)", with: "q.LockSites(ctx)",
		test: "hierarchy.TestMove_WaitsWithoutKeepingOthersWaiting",
	},
	{
		name: "a confined store shows secrets from elsewhere",
		file: "hierarchy/subscription_secret.go", decl: "listSecrets",
		old: "string(s.cfg.RootSite)", with: `"/"`,
		test: "hierarchy.TestEachMethodOfAConfinedStoreKeepsToItsSubtree",
	},
	{
		name: "an intent is explained to those whom nobody may tell",
		file: "delivery/principal_explain.go", decl: "forOwner",
		old: "told = told || s.DeliveryID != nil", with: "told = true",
		test: "delivery.TestExplain_HasALineForEachSubscriptionOfAnOwner",
	},
}
