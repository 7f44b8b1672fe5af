package jsonschema

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func compile(t *testing.T, text string) *Schema {
	t.Helper()
	s, err := Compile([]byte(text), "")
	require.NoError(t, err)
	return s
}

func at(t *testing.T, err error) *Error {
	t.Helper()
	var e *Error
	require.ErrorAs(t, err, &e)
	return e
}

func TestCompile_EachDraftIsReadByItsOwnRules(t *testing.T) {
	t.Parallel()
	const (
		tuple7    = `{"items": [{"type": "integer"}], "additionalItems": false}`
		tuple2020 = `{"prefixItems": [{"type": "integer"}], "items": false}`
	)
	for _, c := range []struct{ schema, draft, want, invalid, place string }{
		{tuple7, Draft7, Draft7, `["1"]`, "/0"},
		{`{"$schema": "http://json-schema.org/draft-07/schema#", ` + tuple7[1:], "", Draft7, `[1, 2]`, ""},
		{tuple2020, "", Draft2020_12, `[1, 2]`, "/1"},
		{`{"$schema": "https://json-schema.org/draft/2020-12/schema", ` + tuple2020[1:], Draft2020_12, Draft2020_12, `["1"]`, "/0"},
	} {
		s, err := Compile([]byte(c.schema), c.draft)
		require.NoError(t, err)
		require.Equal(t, c.want, s.Draft)
		require.NoError(t, s.Validate([]byte(`[1]`)))
		require.Equal(t, c.place, at(t, s.Validate([]byte(c.invalid))).Pointer, c.schema)
	}
}

func TestCompile_ASchemaThatIsRefusedIsNamedByItsPlace(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ schema, draft, place, reason string }{
		{`{`, "", "", "valid JSON"},
		{``, "", "", "valid JSON"},
		{`[]`, "", "", "type"},
		{`{}`, "draft-04", "", "draft"},
		{`{"$schema": "http://json-schema.org/draft-04/schema#"}`, "", "/$schema", "names neither"},
		{`{"$schema": "https://json-schema.org/draft/2020-12/schema"}`, Draft7, "/$schema", "draft-07 is given"},
		{`{"properties": {"a/b": {"type": "text"}}}`, "", "/properties/a~1b/type", "enum"},
		{`{"properties": {"a": {"pattern": "("}}}`, "", "/properties/a/pattern", "format"},
		{`{"minimum": 1e1000}`, "", "/minimum", "exponent"},
		{`{"$ref": "#/$defs/none"}`, "", "", "none"},
		{`{"$ref": "https://example.com/other.json"}`, "", "", "https://example.com/other.json"},
		{`{"$id": "https://example.com/this.json", "$ref": "other.json"}`, "", "", "nothing outside"},
		{`{"$ref": "file:///etc/hostname"}`, "", "", "nothing outside"},
		{`{"$ref": "/etc/hostname"}`, "", "", "nothing outside"},
		{`{"properties": {"a": {"$ref": "other.json"}}}`, "", "", "other.json"},
		{`{"$schema": "https://example.com/own"}`, "", "/$schema", "names neither"},
		{`{"$defs": {"a": {"$id": "a", "$schema": "https://example.com/own"}}}`, "", "", "nothing outside"},
	} {
		_, err := Compile([]byte(c.schema), c.draft)
		require.Error(t, err, c.schema)
		require.Equal(t, c.place, at(t, err).Pointer, c.schema)
		require.ErrorContains(t, err, c.reason, c.schema)
	}
}

func TestCompile_ReferencesWithinASchemaAndToTheDraftsAreFollowed(t *testing.T) {
	t.Parallel()
	s := compile(t, `{
		"$id": "https://example.com/a", "$ref": "b", "type": "array",
		"$defs": {"b": {"$id": "b", "type": "array", "items": {"$ref": "a"}}}}`)
	require.NoError(t, s.Validate([]byte(`[[], [[]]]`)))
	require.Equal(t, "/1/0", at(t, s.Validate([]byte(`[[], [1]]`))).Pointer)
	s = compile(t, `{"$ref": "https://json-schema.org/draft/2020-12/schema"}`)
	require.Error(t, s.Validate([]byte(`{"type": "text"}`)))
}

func TestValidate_FormatsAreEnforced(t *testing.T) {
	t.Parallel()
	for format, values := range map[string][2]string{
		"date":          {"2024-02-29", "2023-02-29"},
		"date-time":     {"2024-02-29T12:00:00Z", "2024-02-29 12:00"},
		"duration":      {"P1DT2H", "1 day"},
		"email":         {"ann@example.com", "ann"},
		"hostname":      {"example.com", "-.com"},
		"ipv4":          {"192.0.2.1", "192.0.2.256"},
		"ipv6":          {"2001:db8::1", "192.0.2.1"},
		"iri":           {"https://exämple.com/", "exämple"},
		"iri-reference": {"/ä", `\ä`},
		"json-pointer":  {"/a~1b", "a"},
		"regex":         {"^a+$", "("},
		"time":          {"12:00:00Z", "12:00"},
		"uri":           {"https://example.com/", "example.com/"},
		"uri-reference": {"/a", `\a`},
		"uri-template":  {"/a/{b}", "/a/{b"},
		"uuid":          {"2eb8aa08-aa98-11ea-b4aa-73b441d16380", "2eb8"},
	} {
		for _, draft := range []string{Draft7, Draft2020_12} {
			s, err := Compile([]byte(`{"format": "`+format+`"}`), draft)
			require.NoError(t, err)
			require.NoError(t, s.Validate(fmt.Appendf(nil, "%q", values[0])), format)
			bad := at(t, s.Validate([]byte(`"`+strings.ReplaceAll(values[1], `\`, `\\`)+`"`)))
			require.Equal(t, `is not of the format "`+format+`"`, bad.Reason)
			require.NoError(t, s.Validate([]byte("1")), format)
		}
	}
}

func TestValidate_InvalidDataIsNamedByItsDeepestPlaceAndNotShown(t *testing.T) {
	t.Parallel()
	const secret = "s3cr3t"
	for _, c := range []struct{ schema, data, place, reason string }{
		{`{"properties": {"a": {"type": ["string", "null"]}}}`, `{"a": 71}`, "/a", "is of the type number, where the schema has null or string"},
		{`{"required": ["b", "a"]}`, `{}`, "", `has no property "a"`},
		{`{"additionalProperties": false}`, `{"z": 1, "~/": 2}`, "/z", "is a property that the schema does not allow"},
		{`{"additionalProperties": false}`, `{"~/": 2}`, "/~0~1", "is a property that the schema does not allow"},
		{`{"properties": {"a": false}}`, `{"a": "s3cr3t"}`, "/a", "is not allowed by the schema"},
		{`{"items": {"pattern": "^x"}}`, `["x", "s3cr3t"]`, "/1", `does not satisfy "pattern" of the schema`},
		{`{"items": {"enum": ["x"]}}`, `["s3cr3t"]`, "/0", `does not satisfy "enum" of the schema`},
		{`{"items": {"const": "x"}}`, `["s3cr3t"]`, "/0", `does not satisfy "const" of the schema`},
		{`{"items": {"format": "email"}}`, `["s3cr3t"]`, "/0", `is not of the format "email"`},
		{`{"items": {"not": {"type": "string"}}}`, `["s3cr3t"]`, "/0", `does not satisfy "not" of the schema`},
		{`{"items": {"maxLength": 2}}`, `["s3cr3t"]`, "/0", `does not satisfy "maxLength" of the schema`},
		{`{"maximum": 9007199254740992}`, `9007199254740993`, "", `does not satisfy "maximum" of the schema`},
		{`{"anyOf": [{"type": "null"}, {"properties": {"a": {"type": "null"}}}]}`, `{"a": "s3cr3t"}`, "/a", "type"},
		{`{"properties": {"a": {"type": "null"}, "b": {"type": "null"}, "c": {"type": "null"}}}`, `{"c": 1, "b": 1, "a": 1}`, "/a", "type"},
		{`{}`, `[{"a": [1, 1e1000]}]`, "/0/a/1", "exponent"},
		{`{}`, `[1e-1000]`, "/0", "exponent"},
	} {
		for range 20 {
			bad := at(t, compile(t, c.schema).Validate([]byte(c.data)))
			require.Equal(t, c.place, bad.Pointer, c.schema)
			require.Contains(t, bad.Reason, c.reason, c.schema)
			require.NotContains(t, bad.Error(), secret)
		}
	}
}

func TestValidate_NamesEachViolation(t *testing.T) {
	t.Parallel()
	const schema = `{"required": ["id", "at"], "properties": {"name": {"type": "string"}, "age": {"minimum": 0}}, "maxProperties": 3}`
	const want = `at "/age": does not satisfy "minimum" of the schema; ` +
		`at "/name": is of the type number, where the schema has string; ` +
		`at "": has no property "at"; at "": has no property "id"`
	for range 20 {
		require.EqualError(t, compile(t, schema).Validate([]byte(`{"name": 1, "age": -1}`)), want)
	}
}

func TestValidate_NamesOneOfTheAlternativesThatFailed(t *testing.T) {
	t.Parallel()
	const schema = `{"properties": {
		"a": {"anyOf": [{"type": "null"}, {"properties": {"x": {"type": "null"}}}]}, "b": {"oneOf": [{"type": "null"}, {"type": "array"}]}}}`
	const want = `at "/a/x": is of the type number, where the schema has null; at "/b": is of the type number, where the schema has array`
	for range 20 {
		require.EqualError(t, compile(t, schema).Validate([]byte(`{"a": {"x": 1}, "b": 1}`)), want)
	}
	require.Error(t, compile(t, `{"oneOf": [true, true]}`).Validate([]byte(`1`)))
}

func TestValidate_NamesTenViolationsAndHowManyMore(t *testing.T) {
	t.Parallel()
	err := compile(t, `{"items": {"type": "null"}}`).Validate([]byte("[0" + strings.Repeat(",0", 24) + "]"))
	require.Equal(t, 10, strings.Count(err.Error(), "at \"/"))
	require.True(t, strings.HasSuffix(err.Error(), "; and 15 more"), err)

	var large strings.Builder
	for i := range 100 {
		fmt.Fprintf(&large, `,"%d%s": 1`, i, strings.Repeat("é", 1000))
	}
	err = compile(t, `{"additionalProperties": false}`).Validate([]byte("{" + large.String()[1:] + "}"))
	require.True(t, strings.HasSuffix(err.Error(), "; and 90 more"), err)
	require.Less(t, len(err.Error()), 10*(maxPointerBytes+100))
}

func TestError_APointerIsShownToABoundedLengthAndInOneLine(t *testing.T) {
	t.Parallel()
	bad := at(t, compile(t, `false`).Validate([]byte(`1`)))
	require.Equal(t, `at "": is not allowed by the schema`, bad.Error())
	bad = at(t, compile(t, `{"additionalProperties": false}`).Validate(fmt.Appendf(nil, `{"x\n%s": 1}`, strings.Repeat("é", 1000))))
	require.Len(t, bad.Pointer, maxPointerBytes-1+len("..."))
	require.NotContains(t, bad.Error(), "\n")
}
