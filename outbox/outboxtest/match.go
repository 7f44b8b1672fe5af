package outboxtest

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/riverhook/riverhook/outbox"
)

func requireOne(tb TB, all []outbox.Intent, err error, want outbox.Intent) outbox.Intent {
	tb.Helper()
	matches, wanted, err := matching(all, err, want)
	if err != nil {
		tb.Fatalf("%v", err)
		return outbox.Intent{}
	}
	if len(matches) != 1 {
		tb.Fatalf("outboxtest: %d intents of this transaction are as wanted, 1 must be.\nWanted: %s\n%s",
			len(matches), describe(wanted), report(all, wanted))
		return outbox.Intent{}
	}
	return matches[0]
}

func requireNone(tb TB, all []outbox.Intent, err error, unwanted outbox.Intent) {
	tb.Helper()
	matches, wanted, err := matching(all, err, unwanted)
	switch {
	case err != nil:
		tb.Fatalf("%v", err)
	case len(matches) > 0:
		tb.Fatalf("outboxtest: %d intents of this transaction are as the unwanted one.\nUnwanted: %s\n%s",
			len(matches), describe(wanted), report(matches, nil))
	}
}

// field is a wanted field of an intent. A value is shown and, where equal is
// nil, compared as it is shown.
type field struct {
	name  string
	value string
	of    func(outbox.Intent) string
	equal func(got string) bool
}

func matching(all []outbox.Intent, err error, want outbox.Intent) ([]outbox.Intent, []field, error) {
	if err != nil {
		return nil, nil, err
	}
	wanted, err := fields(want)
	if err != nil {
		return nil, nil, err
	}
	var matches []outbox.Intent
	for _, in := range all {
		if len(differences(in, wanted)) == 0 {
			matches = append(matches, in)
		}
	}
	return matches, wanted, nil
}

// fields returns what is set in an intent.
func fields(in outbox.Intent) ([]field, error) {
	quoted := func(get func(outbox.Intent) string) func(outbox.Intent) string {
		return func(in outbox.Intent) string {
			if text := get(in); text != "" {
				return fmt.Sprintf("%q", text)
			}
			return ""
		}
	}
	texts := []field{
		{name: "Type", of: quoted(func(in outbox.Intent) string { return in.Type })},
		{name: "ID", of: quoted(func(in outbox.Intent) string { return in.ID })},
		{name: "Site", of: quoted(func(in outbox.Intent) string { return string(in.Site) })},
		{name: "ActiveSite", of: quoted(func(in outbox.Intent) string { return string(in.ActiveSite) })},
		{name: "Resource.Kind", of: quoted(func(in outbox.Intent) string { return in.Resource.Kind })},
		{name: "Resource.ID", of: quoted(func(in outbox.Intent) string { return in.Resource.ID })},
		{name: "Actor", of: quoted(func(in outbox.Intent) string { return in.Actor })},
		{name: "Channel", of: quoted(func(in outbox.Intent) string { return in.Channel })},
		{name: "Share", of: quoted(func(in outbox.Intent) string { return in.Share })},
		{name: "OccurredAt", of: func(in outbox.Intent) string { return moment(in.OccurredAt) }},
		{name: "SchemaVersion", of: func(in outbox.Intent) string { return version(in.SchemaVersion) }},
		{name: "NotBefore", of: func(in outbox.Intent) string { return moment(in.NotBefore) }},
	}
	attributes := make([]field, 0, len(in.Attributes))
	for _, key := range slices.Sorted(maps.Keys(in.Attributes)) {
		attributes = append(attributes, field{name: fmt.Sprintf("Attributes[%q]", key), of: func(in outbox.Intent) string {
			value, found := in.Attributes[key]
			if !found {
				return ""
			}
			return fmt.Sprintf("%q", value)
		}})
	}
	var wanted []field
	for _, f := range slices.Concat(texts, attributes) {
		if f.value = f.of(in); f.value != "" {
			wanted = append(wanted, f)
		}
	}
	if in.Data != nil {
		f, err := dataField(in.Data)
		if err != nil {
			return nil, err
		}
		wanted = append(wanted, f)
	}
	return wanted, nil
}

func dataField(data any) (field, error) {
	text, raw := data.([]byte)
	if !raw {
		var err error
		if text, err = json.Marshal(data); err != nil {
			return field{}, fmt.Errorf("outboxtest: the wanted Data: %w", err)
		}
	}
	want, err := parse(text)
	if err != nil {
		return field{}, fmt.Errorf("outboxtest: the wanted Data: %w", err)
	}
	return field{
		name:  "Data",
		value: string(text),
		of: func(in outbox.Intent) string {
			raw, _ := in.Data.(json.RawMessage)
			return string(raw)
		},
		equal: func(got string) bool {
			value, err := parse([]byte(got))
			return err == nil && reflect.DeepEqual(want, value)
		},
	}, nil
}

// parse keeps numbers as they are written: a float64 would make two ids one.
func parse(text []byte) (value any, err error) {
	decoder := json.NewDecoder(bytes.NewReader(text))
	decoder.UseNumber()
	err = decoder.Decode(&value)
	return value, err
}

func version(n int) string {
	if n == 0 {
		return ""
	}
	return strconv.Itoa(n)
}

func moment(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Truncate(time.Microsecond).Format(time.RFC3339Nano)
}

func differences(in outbox.Intent, wanted []field) []string {
	var all []string
	for _, f := range wanted {
		got := f.of(in)
		if got == f.value || f.equal != nil && f.equal(got) {
			continue
		}
		if got == "" {
			got = "none"
		}
		all = append(all, fmt.Sprintf("%s: want %s, got %s", f.name, f.value, got))
	}
	return all
}

func describe(wanted []field) string {
	if len(wanted) == 0 {
		return "any intent"
	}
	all := make([]string, len(wanted))
	for i, f := range wanted {
		all[i] = f.name + " " + f.value
	}
	return strings.Join(all, ", ")
}

// report lists intents, each with what is not as wanted.
func report(all []outbox.Intent, wanted []field) string {
	if len(all) == 0 {
		return "The transaction has written no intents."
	}
	var text strings.Builder
	text.WriteString("The transaction has written:")
	for _, in := range all {
		fmt.Fprintf(&text, "\n  %s at %s, resource %q, id %s", in.Type, in.Site, in.Resource, in.ID)
		for _, difference := range differences(in, wanted) {
			text.WriteString("\n    " + difference)
		}
	}
	return text.String()
}
