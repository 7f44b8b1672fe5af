package main

// Several versions of the library on one schema.
var migrating = []mutant{
	{
		name: "a function changes its signature under its name",
		file: "internal/migration/functions.go",
		decl: "validate",
		old:  "text.signature != f.texts[i].signature",
		with: "false",
		test: "internal/migration.TestFunctions_ABadTextIsRefused",
	},
	{
		name: "a step that is undone leaves the later text of a function",
		file: "internal/migration/functions.go",
		decl: "down",
		old:  "f.texts[i-1].definition",
		with: "text.definition",
		test: "internal/migration.TestVersions_TakeTurns",
	},
	{
		name: "an older library works with a schema that serves newer ones only",
		file: "internal/migration/check.go",
		decl: "checkVersion",
		old:  "case at.MinClient > version:",
		with: "case false:",
		test: "internal/migration.TestVersions_ALaterOneMayRefuseFormerOnes",
	},
}
