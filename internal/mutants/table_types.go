package main

// typing are those of event types and their schemas.
var typing = []mutant{
	{
		name: "what a client knows of types may be twice as old",
		file: "outbox/registry.go", decl: "young",
		old: ">= registryMaxAge", with: ">= 2*registryMaxAge",
		test: "outbox.TestWhatAClientKnowsOfTypesIsAtMostFiveSecondsOld",
	},
	{
		name: "a client that registers a type knows it late",
		file: "outbox/registry.go", decl: "forget",
		old: "r.generation.Add(1)", with: "r.generation.Add(0)",
		test: "outbox.TestWhatAClientKnowsOfTypesIsAtMostFiveSecondsOld",
	},
	{
		name: "an archived type is taken",
		file: "outbox/registry.go", decl: "checkOne",
		old: "case known.Archived:", with: "case false:",
		test: "outbox.TestAnArchivedTypeIsRefusedAndWhatThereIsOfItStays",
	},
	{
		name: "a strict client takes types that are not registered",
		file: "outbox/registry.go", decl: "checkOne",
		old: "!ok && r.strict", with: "!ok && false",
		test: "outbox.TestAStrictClientTakesRegisteredTypesOnly",
	},
	{
		name: "a schema is replaced under its number",
		file: "outbox/event_schema.go", decl: "newSchemas",
		old: "|| !sameJSON(row.Schema, s.Schema)", with: "",
		test: "outbox.TestEventSchemas",
	},
	{
		name: "a refusal shows the value",
		file: "outbox/registry.go", decl: "checkOne",
		old: "%v (schema version %d)\", err, version", with: "%v (schema version %d) in %s\", err, version, rec.Data",
		test: "outbox.TestDataIsCheckedBySchema",
	},
	{
		name: "formats are not enforced",
		file: "internal/jsonschema/schema.go", decl: "Compile",
		old: "c.AssertFormat()", with: "",
		test: "internal/jsonschema.TestFormatsAreEnforced",
	},
	{
		name: "files that a schema refers to are loaded",
		file: "internal/jsonschema/schema.go", decl: "Compile",
		old: "c.UseLoader(nothing{})", with: "",
		test: "internal/jsonschema.TestASchemaThatIsRefusedIsNamedByItsPlace",
	},
	{
		name: "what was read while a type was archived counts as new",
		file: "outbox/registry.go", decl: "load",
		old: "r.current.Store(next)", with: "next.generation = r.generation.Load()\n\tr.current.Store(next)",
		test: "outbox.TestEnqueueWhileATypeIsArchived",
	},
	{
		name: "what a client knows of types counts from when it had been read",
		file: "outbox/registry.go", decl: "load",
		old: "r.current.Store(next)", with: "next.at = r.now()\n\tr.current.Store(next)",
		test: "outbox.TestEnqueueWhileATypeIsArchived",
	},
	{
		name: "the version that data is valid by is not stored",
		file: "outbox/registry.go", decl: "checkOne",
		old: "rec.SchemaVersion = version", with: "",
		test: "outbox.TestTheVersionThatDataIsValidByIsStored",
	},
	{
		name: "types extend the umbrella types of before",
		file: "outbox/event_types_register.go", decl: "newPatterns",
		old: "!slices.Equal(row.UmbrellaPatterns, patterns)", with: "row.Name != name",
		test: "outbox.TestEventTypes",
	},
	{
		name: "what a type is registered with says nothing of its payloads",
		file: "delivery/history_rules.go", decl: "of",
		old: "registered.Payloads != \"\"", with: "registered.Payloads != \"\" && h.Payloads == \"\"",
		test: "delivery.TestATypeIsRegisteredWithWhatIsKeptOfItsPayloads",
	},
	{
		name: "payloads are reduced before their time",
		file: "internal/store/prune.sql.gen.go", decl: "lockPayloads",
		old: "s.keep_at <= now()", with: "s.keep_at IS NOT NULL",
		test: "delivery.TestPayloadsAreKeptWholeForTheAgeThatIsSaid",
	},
}
