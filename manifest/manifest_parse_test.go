package manifest

import (
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/riverhook/riverhook/outbox"
	"github.com/riverhook/riverhook/subscription"
)

// full has each variable that the files of testdata use.
var full = environment{
	"API_KEY": "k", "CLIENT_SECRET": "cs", "CRM_SECRET": testSecret, "PASSWORD": "pw", "SERVO_SECRET": testSecret,
	"TLS_CERTIFICATE": "cert", "TLS_KEY": "pem", "TLS_ROOTS": "roots", "TOKEN": "tok",
}

func TestParse_AFileIsReadWhole(t *testing.T) {
	t.Parallel()
	m, err := Load("testdata/valid/everything.yaml", &ParseOpts{Env: full.lookup})
	require.NoError(t, err)
	require.Equal(t, "everything", m.Name())

	require.Equal(t, []site{{"sites[1]", "/noaa"}, {"sites[0]", "/noaa/nws"}}, m.sites)

	schema := `{"properties":{"name":{"maxLength":100,"type":"string"},"score":{"minimum":-1.5e1,"type":"number"},` +
		`"since":{"default":null,"type":["string","null"]}},"required":["name"],"type":"object"}`
	require.Equal(t, []eventType{
		{field: `event_types["person.created"]`, typ: outbox.EventType{Name: "person.created", Description: "Somebody is there"}},
		{
			field:    `event_types["user.created"]`,
			archived: new(bool),
			typ: outbox.EventType{
				Name:        "user.created",
				Description: "A user was created",
				Extends:     []string{"person.created"},
				Payloads:    "hash",
				PayloadAge:  24 * time.Hour,
				Schemas: []outbox.EventSchema{
					{
						Version: 1,
						Draft:   "2020-12",
						Schema:  []byte(schema),
						Example: []byte(`{"more":{},"name":"Ada","ok":true,"score":1,"since":"2026-05-01","tags":[]}`),
					},
					{Version: 2, Schema: []byte(schema)},
				},
			},
		},
	}, m.eventTypes)

	servo := subscription.Spec{
		Dialect:  "servo",
		Events:   []string{"after.measure"},
		Name:     "My Webhook",
		Owner:    "opsani",
		Schedule: "servo",
		Secret:   secretOf(testSecret),
		Site:     "/noaa/nws",
		URL:      "https://example.com/",
	}
	other, channel := servo, servo
	other.Name = "The other"
	other.Events = []string{"before:adjust", "after.measure"}
	other.Schedule = "none"
	channel.Name = "A channel"
	channel.Events = []string{"**"}
	channel.Channels = []string{"metrics"}
	servo.Description, servo.Headers = "After each measurement", map[string]string{"X-One": "1"}
	servo.SecretHeaders = map[string]string{"X-Two": "tok"}
	require.Equal(t, []subscriptionEntry{
		{
			field: "subscriptions.crm",
			key:   "crm",
			spec: subscription.Spec{
				Channels: []string{"alpha"},
				Credentials: subscription.Credentials{OAuth2: &subscription.OAuth2Credentials{
					AuthStyle:    "header",
					ClientID:     "riverhook",
					ClientSecret: "cs",
					Params:       map[string]string{"audience": "crm"},
					Scopes:       []string{"hooks"},
					TokenURL:     "https://login.example/token",
				}},
				Description: "Two\nlines\n",
				Dialect:     "cloudevents",
				Events:      []string{"user.created", "office.*", "**", "before:measure", "before:*", "before:**", "before:user.*.**"},
				Deactivation: &subscription.DeactivationRules{
					Attempts:        20,
					Exhausted:       -1,
					ExhaustedWindow: 2 * time.Hour,
					Failures:        250,
					Unresolvable:    10,
					Warning:         80,
					Window:          5 * 24 * time.Hour,
				},
				Verification: "echo",
				FailClosed:   true,
				Filter:       "data.total > 100",
				Headers:      map[string]string{"X-From": "Riverhook"},
				MaxInFlight:  3,
				Metadata:     map[string]string{"team": "blue"},
				Name:         "CRM",
				Owner:        "ada@example.com",
				Paused:       true,
				Permission:   "edit",
				Rate: subscription.Rate{
					Events: 90,
					Per:    time.Minute,
					Burst:  4,
				},
				Schedule:      "svix",
				Secret:        secretOf(testSecret),
				SecretKind:    "v1",
				SecretHeaders: map[string]string{"X-Api-Key": "key k", "X-Literal": "${API_KEY}"},
				Site:          "/noaa",
				TLS: subscription.EndpointTLS{
					Certificate: "cert",
					Key:         "pem",
					RootCAs:     "roots",
				},
				Timeout: time.Minute + time.Second/2,
				URL:     "https://crm.example/hooks",
			},
		},
		{
			field: `subscriptions["billing (EU)"]`,
			key:   "billing (EU)",
			spec: subscription.Spec{
				Credentials: subscription.Credentials{Basic: &subscription.BasicCredentials{Username: "riverhook", Password: "pw"}},
				Events:      []string{"**"},
				Operator:    true,
				URL:         "https://billing.example/hooks",
			},
		},
		{
			field: "subscriptions.audit",
			key:   "audit",
			spec: subscription.Spec{
				Credentials: subscription.Credentials{Bearer: "tok"},
				Events:      []string{"**"},
				Operator:    true,
				URL:         "https://audit.example/hooks",
			},
		},
		{
			field: "webhooks[0]",
			key:   "My Webhook",
			spec:  servo,
		},
		{
			field: "webhooks[1]",
			key:   "The other",
			spec:  other,
		},
		{
			field: "webhooks[2]",
			key:   "A channel",
			spec:  channel,
		},
	}, m.subscriptions)
}

func TestParse_JSONIsReadAsJSONIsMeant(t *testing.T) {
	t.Parallel()
	m, err := Load("testdata/valid/small.json", nil)
	require.NoError(t, err)
	require.Len(t, m.subscriptions, 1)
	require.Equal(t, "crm 😀", m.subscriptions[0].key)
	require.Equal(t, `https://crm.example/\ud83d\ude00`, m.subscriptions[0].spec.URL)
	require.Equal(t, `😀 \😀`, m.subscriptions[0].spec.Description)
}

// Each text is refused by exactly these lines.
func TestParse_WhatIsRefusedIsNamedByLineAndColumn(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ name, text, want string }{
		{"an empty file", "", "1:1: is empty"},
		{"a comment", "# nothing\n", "1:1: is empty"},
		{"two documents", "{}\n---\n{}\n", "2:1: must be one document"},
		{"a document and no YAML", "{}\n---\n}\n", "3:1: is neither YAML nor JSON: did not find expected node content"},
		{"no YAML", "name: a\n  b: c\n", "2:4: is neither YAML nor JSON: mapping values are not allowed in this context"},
		{"no JSON", "{\"name\": \"a\",\n \"sites\": [,]}", "2:12: is neither YAML nor JSON: did not find expected node content"},
		{"NUL", "name: a\nsites:\n  - /\x00\n", "3:6: must be UTF-8 without NUL"},
		{"Latin-1", "# gr\xfc\xdfe\n{}\n", "1:5: must be UTF-8 without NUL"},
		{
			"an alias of nothing", "name: *secret\n",
			`1:7: has "*" before what is no anchor; a text that begins with it is put in quotes`,
		},
		{
			"an unknown field", "colour: a\n",
			"1:9: colour: is not known; known are $schema, event_types, name, servo, sites, subscriptions, webhooks",
		},
		{"a field twice", "name: a\nname: b\n", "2:1: name: is there twice"},
		{"an entry twice", "subscriptions:\n  a: {url: u, events: ['**']}\n  a: {}\n", "3:3: subscriptions.a: is there twice"},
		{"no text as a key", "subscriptions:\n  [a]: {}\n", "2:3: subscriptions: has a key that is not a text"},
		{"a merge key", "subscriptions:\n  <<: {}\n", "2:3: subscriptions: has a key that is not a text"},
		{"a key that is empty", "subscriptions: {'': {url: u, events: ['**']}}", `1:17: subscriptions[""]: its key is empty`},
		{"a number for a text", "name: 1\n", "1:7: name: must be a text; put it in quotes"},
		{"a tag", "name: !!binary YQ==\n", "1:7: name: must be a text; put it in quotes"},
		{"null", "name:\n", "1:6: name: has no value; leave it out, or give it one"},
		{"a key that turns the text", "name: \"a\\u202eb\"\n", "1:7: name: has a character that cannot be seen"},
		{"a key that is long", "name: " + strings.Repeat("a", 129) + "\n", "1:7: name: has 129 characters; at most 128 are allowed"},
		{
			"a variable in a URL", "subscriptions:\n  a:\n    url: https://${HOST}/\n    events: ['**']\n",
			`3:10: subscriptions.a.url: has "${": variables are for what is secret: secret, secret_headers, credentials and tls`,
		},
		{
			"a variable that is not there", "subscriptions:\n  a:\n    url: u\n    events: ['**']\n    secret: a ${NONE}${EMPTY}\n",
			"5:13: subscriptions.a.secret: the environment has no NONE; the environment has no EMPTY",
		},
		{
			"half a variable", "subscriptions:\n  a:\n    url: u\n    events: ['**']\n    secret: hunter2${X\n",
			`5:13: subscriptions.a.secret: has "${" without the name of a variable and "}" behind it; "$${" is "${" itself`,
		},
		{
			"several at once", "sites: [a]\nsubscriptions:\n  a:\n    timeout: 1 s\n    max_in_flight: 0x10\n    operator: True\n  b: []\n",
			"1:9: sites[0]: invalid path \"a\": must begin with \"/\"\n" +
				"3:3: subscriptions.a.events: is required\n" +
				"3:3: subscriptions.a.url: is required\n" +
				"4:14: subscriptions.a.timeout: must be a duration such as \"10s\" or \"1m30s\"\n" +
				"5:20: subscriptions.a.max_in_flight: must be a whole number\n" +
				"6:15: subscriptions.a.operator: must be true or false\n" +
				"7:6: subscriptions.b: must be a mapping of names to values",
		},
		{
			"a version twice", "event_types:\n  a.b:\n    schemas:\n      - {version: 1, schema: {}}\n      - {version: 1, schema: {}}\n",
			`5:9: event_types["a.b"].schemas[1]: version 1 is there twice`,
		},
		{
			"what JSON does not have", "event_types:\n  a.b:\n    schemas:\n      - {version: 1, schema: {minimum: .inf}}\n",
			`4:40: event_types["a.b"].schemas[0].schema.minimum: is nothing that JSON has; put a text in quotes`,
		},
		{
			"a key in both forms", "webhooks:\n  - {name: a, url: u, secret: s, events: after:b}\nsubscriptions:\n  a: {url: u, events: ['**']}\n",
			"2:5: webhooks[0]: has the key of subscriptions.a",
		},
		{
			"headers as a list", "webhooks:\n  - {name: a, url: u, secret: s, events: after:b, headers: [x]}\n",
			"2:60: webhooks[0].headers: must be a mapping of names to values",
		},
		{
			"no source", "webhooks:\n  - {name: a, url: u, secret: s}\n",
			"2:5: webhooks[0]: missing webhook data source: events and channels cannot both be empty",
		},
		{
			"a backoff without tries", "webhooks:\n  - {name: a, url: u, secret: s, events: after:b, backoff: {max_tries: 0}}\n",
			"2:60: webhooks[0].backoff: max_tries must be 1 to 101",
		},
		{
			"a backoff without time", "webhooks:\n  - {name: a, url: u, secret: s, events: after:b, backoff: {max_time: 0s}}\n",
			"2:60: webhooks[0].backoff: max_time must be 1ms to 168h, in whole milliseconds",
		},
		{
			"a response channel", "webhooks:\n  - {name: a, url: u, secret: s, events: after:b, response_channel: c}\n",
			"2:69: webhooks[0].response_channel: is not supported: what an endpoint answers is kept in the history and published nowhere",
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			m, err := Parse("f.yaml", []byte(tt.text), &ParseOpts{Env: environment{"EMPTY": ""}.lookup})
			require.Nil(t, m)
			require.ErrorIs(t, err, ErrInvalid)
			require.Equal(t, tt.want, strings.ReplaceAll(err.Error(), "f.yaml:", ""))
			require.NotContains(t, err.Error(), "hunter2")
		})
	}
}

func TestParse_WebhooksTakeTheBackoffOfServo(t *testing.T) {
	t.Parallel()
	for backoff, want := range map[string]string{
		"":                                         "servo",
		"backoff: {}":                              "servo",
		"backoff: {max_tries: 12}":                 "servo",
		"backoff: {max_time: 180s}":                "servo",
		"backoff: {max_tries: 5}":                  "servo-5-180s",
		"backoff: {max_time: 1m30s}":               "servo-12-90s",
		"backoff: {max_time: 1.5s}":                "servo-12-1500ms",
		"backoff: {max_tries: 1}":                  "servo-1-180s",
		"backoff: {max_time: 168h}":                "servo-12-604800s",
		"backoff: false":                           "none",
		"backoff: {max_tries: 101, max_time: 30s}": "servo-101-30s",
	} {
		m := parse(t, "webhooks:\n  - {name: a, url: u, secret: s, events: after:b, "+backoff+"}\n", nil)
		require.Equal(t, want, m.subscriptions[0].spec.Schedule, backoff)
	}
}

func TestParse_HostileFilesAreRefusedSoon(t *testing.T) {
	t.Parallel()
	var bomb strings.Builder
	bomb.WriteString("event_types:\n  a.b:\n    schemas:\n      - version: 1\n        schema:\n")
	bomb.WriteString("          a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n")
	for i := range 12 {
		ten := strings.TrimSuffix(strings.Repeat(fmt.Sprintf("*a%d, ", i), 10), ", ")
		fmt.Fprintf(&bomb, "          a%d: &a%d [%s]\n", i+1, i+1, ten)
	}
	loop := "event_types: {a.b: {schemas: [{version: 1, schema: &s {a: *s}}]}}"
	wide := "event_types: {a.b: {schemas: [{version: 1, schema: &s {a: *s, b: *s, c: *s}}]}}"
	for name, tt := range map[string]struct{ text, want string }{
		"aliases of aliases":     {bomb.String(), "is too much: a file has at most 131072 values"},
		"an alias within itself": {loop, "is nested more than 128 levels deep"},
		"and several of it":      {wide, "is nested more than 128 levels deep"},
		"depth":                  {strings.Repeat("[", 100_000), "exceeded max depth of 128"},
		"depth in blocks":        {strings.Repeat("- ", 1000) + "a", "exceeded max depth of 128"},
		"size":                   {strings.Repeat(" ", 4<<20+1), "has 4194305 bytes; at most 4194304 are allowed"},
		"many errors":            {"sites: [" + strings.Repeat("1,", 100_000) + "]", "sites[99]: must be a text"},
		"many keys":              {"subscriptions: {" + strings.Repeat("? {}\n, ", 10_000) + "}", "has a key that is not a text"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := Parse("f", []byte(tt.text), nil)
			require.ErrorContains(t, err, tt.want)
			var all Errors
			require.ErrorAs(t, err, &all)
			require.LessOrEqual(t, len(all), 100)
		})
	}
}

func TestManifest_ShowsNoSecrets(t *testing.T) {
	t.Parallel()
	m := parse(t, `
subscriptions:
  crm:
    url: https://example.com/
    events: ["**"]
    secret: ${SECRET}
    secret_headers: {X-Key: hunter2}
    credentials: {bearer: hunter2}`, environment{"SECRET": testSecret})
	var log, encoded strings.Builder
	slog.New(slog.NewTextHandler(&log, nil)).Info("read", "manifest", m)
	slog.New(slog.NewJSONHandler(&encoded, nil)).Info("read \"default\"", "manifest", m)
	for _, shown := range []string{encoded.String(), fmt.Sprintf("%+v %#v %s %d %x", m, m, m, m, m), log.String()} {
		require.Contains(t, shown, "default")
		require.NotContains(t, shown, "hunter2")
		require.NotContains(t, shown, testSecret)
		require.NotContains(t, shown, fmt.Sprintf("%x", "hunter2"))
	}
}

func TestLoad_AFileThatIsNotThereIsAnError(t *testing.T) {
	t.Parallel()
	_, err := Load(filepath.Join(t.TempDir(), "none.yaml"), nil)
	require.ErrorIs(t, err, os.ErrNotExist)
	require.NotErrorIs(t, err, ErrInvalid)
}
