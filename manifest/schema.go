package manifest

import (
	"bytes"
	_ "embed" // of the schema
)

//go:embed schema.json
var schema []byte

// Schema is the JSON Schema (2020-12) of manifests, for editors and checks before a
// deployment. A file names it by a comment or a field:
//
//	# yaml-language-server: $schema=https://raw.githubusercontent.com/riverhook/riverhook/main/manifest/schema.json
//
// What it takes Parse can still refuse, such as a variable that is not there; what
// Parse takes it does not refuse.
func Schema() []byte { return bytes.Clone(schema) }
