package main

// manifesting are those of files of subscriptions.
var manifesting = []mutant{
	{
		name: "each process that starts applies a manifest at the same time",
		file: "internal/store/manifest.sql.gen.go",
		old:  "pg_advisory_xact_lock(", with: "pg_advisory_xact_lock_shared(",
		test: "manifest.TestWhoAppliesWaitsForWhoIsApplying",
	},
	{
		name: "what failures have deactivated is reactivated at each start",
		file: "manifest/apply_subscriptions.go", decl: "reactivate",
		old: " && row.StateReason == r.reason()", with: "",
		test: "manifest.TestWhatOthersDecidedAboutTheStateStays",
	},
	{
		name: "a subscription that the file does not have any more goes on",
		file: "manifest/apply_subscriptions.go", decl: "deactivate",
		old: "if _, ok := gone[row.ManifestKey]; !ok {", with: "if _, ok := gone[row.ManifestKey]; !ok || len(rows) > 0 {",
		test: "manifest.TestASubscriptionThatTheFileLosesIsDeactivatedAndComesBack",
	},
	{
		name: "subscriptions of another manifest are deactivated",
		file: "internal/store/manifest.sql.gen.go",
		old:  "WHERE manifest = $1 AND deleted_at IS NULL", with: "WHERE manifest >= $1 AND deleted_at IS NULL",
		test: "manifest.TestWhatAManifestDoesNotKeepIsNotTouched",
	},
	{
		name: "a plan is applied",
		file: "manifest/applier.go", decl: "Plan",
		old: "return errPlanned", with: "return nil",
		test: "manifest.TestAPlanChangesNothing",
	},
	{
		name: "a variable that is not there is an empty secret",
		file: "manifest/environment.go", decl: "expand",
		old: `if !ok || value == "" {`, with: `if !ok && value != "" {`,
		test: "manifest.TestWhatIsRefusedIsNamedByLineAndColumn",
	},
	{
		name: "of a file that is too much the rest is left out without a word",
		file: "manifest/reader.go", decl: "follow",
		old: "if r.values == maxValues+1 {", with: "if r.values == 0 {",
		test: "manifest.TestHostileFilesAreRefusedSoon",
	},
	{
		name: "a secret that the file changes is not rotated",
		file: "manifest/apply_subscriptions.go", decl: "sameSecret",
		old: "== 1, nil", with: ">= 0, nil",
		test: "manifest.TestASecretThatChangesIsRotated",
	},
	{
		name: "credentials that the file changes are not noticed",
		file: "hierarchy/subscription_diff.go", decl: "diffAuth",
		old: "return bytes.Equal(stored[kind], given[kind])", with: "return bytes.Equal(stored[kind], given[kind]) || given[kind] != nil",
		test: "hierarchy.TestADifferenceIsWhatAnUpdateHasToChange",
	},
	{
		name: "credentials for another host are given before its URL is proven",
		file: "hierarchy/subscription_diff.go", decl: "diffAuth",
		old: "if !waits {", with: "if !waits || true {",
		test: "hierarchy.TestAURLThatWaitsForItsProofIsNoDifference",
	},
}
