package payload_test

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/riverhook/riverhook/internal/hostile"
	"github.com/riverhook/riverhook/internal/payload"
)

type person struct {
	Name    string `json:"name"`
	Note    *string
	Photo   []byte            `json:"photo,omitempty"`
	Secret  string            `json:"-"`
	Tags    map[string]any    `json:"tags,omitempty"`
	Written json.RawMessage   `json:"written,omitempty"`
	When    time.Time         `json:"when"`
	By      map[texted]string `json:"by,omitempty"`
	private string
}

type texted string

func (t texted) MarshalText() ([]byte, error) { return []byte(t), nil }

func TestMarshal_TextThatIsNotUTF8IsAnError(t *testing.T) {
	t.Parallel()
	for name, bad := range hostile.Impossible() {
		if name == "NUL" {
			continue
		}
		for where, c := range map[string]struct {
			data any
			path string
		}{
			"by itself":           {bad, "must be valid UTF-8"},
			"a value":             {map[string]string{"name": bad}, `"name"`},
			"a key":               {map[string]int{"a" + bad: 1}, "at "},
			"a field":             {person{Name: bad}, `"name"`},
			"a field without tag": {&person{Note: &bad}, `"Note"`},
			"deep": {
				[]any{1, struct{ People []person }{[]person{{}, {Tags: map[string]any{"a": []string{"b", bad}}}}}},
				`"1.People.1.tags.a.1"`,
			},
			"embedded":            {struct{ person }{person{Name: bad}}, `"name"`},
			"a marshaler of text": {map[string]any{"by": texted(bad)}, `"by"`},
			"a key of that kind":  {person{By: map[texted]string{texted(bad): "x"}}, "by."},
		} {
			_, err := payload.Marshal(c.data)
			require.ErrorContains(t, err, "must be valid UTF-8", "%s, %s", name, where)
			require.ErrorContains(t, err, c.path, "%s, %s", name, where)
		}
	}
}

func TestMarshal_WhatIsUTF8IsKept(t *testing.T) {
	t.Parallel()
	for name, data := range map[string]any{
		"the character itself": map[string]string{"a": "x\ufffdy"},
		"the text of one":      map[string]string{"a": `\ufffd`},
		"an escape of another": person{Written: json.RawMessage(`"\ufffd"`)},
		"bytes":                person{Photo: []byte("\xff")},
		"what is not written": person{
			Secret:  "\xff",
			private: "\xff",
			Written: json.RawMessage(`"\ufffd"`),
		},
		"nil": nil,
	} {
		_, err := payload.Marshal(data)
		require.NoError(t, err, name)
	}
	for name, text := range hostile.Texts() {
		encoded, err := payload.Marshal(map[string]string{"a": text})
		require.NoError(t, err, name)
		var back map[string]string
		require.NoError(t, json.Unmarshal(encoded, &back))
		require.Equal(t, text, back["a"])
	}
}
