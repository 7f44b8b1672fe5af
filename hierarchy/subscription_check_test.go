package hierarchy

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/riverhook/riverhook/seal"
)

func many(n int, format string) []string {
	list := make([]string, n)
	for i := range list {
		list[i] = fmt.Sprintf(format, i)
	}
	return list
}

func manyKeys(n int) map[string]string {
	m := make(map[string]string, n)
	for _, k := range many(n, "X-%d") {
		m[k] = "v"
	}
	return m
}

func testConfig() SubscriptionsConfig {
	return SubscriptionsConfig{
		CheckFilter: checkEqual,
		CheckURL:    checkHTTPS,
		Dialects:    []string{"standard", "plain"},
		Schedules:   []string{"standard", "none"},
	}.withDefaults()
}

func TestASubscriptionAtTheEdgeOfWhatIsAllowedIsAccepted(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(*SubscriptionSpec){
		"as it is":             func(*SubscriptionSpec) {},
		"channels":             func(s *SubscriptionSpec) { s.Channels = append(many(99, "c%d"), strings.Repeat("é", 512)) },
		"description":          func(s *SubscriptionSpec) { s.Description = strings.Repeat("é", 4096) },
		"dialect":              func(s *SubscriptionSpec) { s.Dialect = "plain" },
		"events":               func(s *SubscriptionSpec) { s.Events = many(100, "user.e%d") },
		"filter":               func(s *SubscriptionSpec) { s.Filter = "a ==\r\n\t" + strings.Repeat("é", 2048-7) },
		"header value":         func(s *SubscriptionSpec) { s.Headers = map[string]string{"X-A": "a\tb é", "Authorization": ""} },
		"headers":              func(s *SubscriptionSpec) { s.Headers = manyKeys(50) },
		"headers by size":      func(s *SubscriptionSpec) { s.Headers = map[string]string{"X": strings.Repeat("v", 8191)} },
		"in flight":            func(s *SubscriptionSpec) { s.MaxInFlight = 1000 },
		"longest timeout":      func(s *SubscriptionSpec) { s.Timeout = time.Minute },
		"metadata":             func(s *SubscriptionSpec) { s.Metadata = manyKeys(50) },
		"metadata by size":     func(s *SubscriptionSpec) { s.Metadata = map[string]string{"k": strings.Repeat("v", 8192-8)} },
		"name":                 func(s *SubscriptionSpec) { s.Name = strings.Repeat("é", 256) },
		"operator":             func(s *SubscriptionSpec) { s.Operator, s.Owner = true, "" },
		"owner":                func(s *SubscriptionSpec) { s.Owner = strings.Repeat("é", 512) },
		"permission":           func(s *SubscriptionSpec) { s.Permission = strings.Repeat("p", 512) },
		"schedule":             func(s *SubscriptionSpec) { s.Schedule = "none" },
		"shortest timeout":     func(s *SubscriptionSpec) { s.Timeout = time.Second },
		"site":                 func(s *SubscriptionSpec) { s.Site = "/a/b" },
		"webhook without dash": func(s *SubscriptionSpec) { s.Headers = map[string]string{"Webhooks": "v", "Proxy": "v", "X-Host": "v"} },
	} {
		spec := specAt("/a")
		change(&spec)
		_, err := testConfig().prepare(spec)
		require.NoError(t, err, name)
	}
}

func TestARefusedFieldIsNamedWithTheReason(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		field, reason string
		change        func(*SubscriptionSpec)
	}{
		{"Channels", "has 101 entries; at most 100", func(s *SubscriptionSpec) { s.Channels = many(101, "c%d") }},
		{"Channels", "entry 1: has 513 characters", func(s *SubscriptionSpec) { s.Channels = []string{strings.Repeat("é", 513)} }},
		{"Channels", "entry 2: is empty", func(s *SubscriptionSpec) { s.Channels = []string{"a", ""} }},
		{"Channels", `entry 3: "a" is there twice`, func(s *SubscriptionSpec) { s.Channels = []string{"a", "A", "a"} }},
		{"Channels", "entry 1: must not hold NUL", func(s *SubscriptionSpec) { s.Channels = []string{"a\x00"} }},
		{"Description", "has 4097 characters", func(s *SubscriptionSpec) { s.Description = strings.Repeat("é", 4097) }},
		{"Dialect", `"hub" is not known; known are standard, plain`, func(s *SubscriptionSpec) { s.Dialect = "hub" }},
		{"Events", "must not be empty", func(s *SubscriptionSpec) { s.Events = nil }},
		{"Events", "has 101 entries", func(s *SubscriptionSpec) { s.Events = many(101, "user.e%d") }},
		{"Events", `entry 1: pattern "user"`, func(s *SubscriptionSpec) { s.Events = []string{"user"} }},
		{"Events", `entry 2: "user.*" is there twice`, func(s *SubscriptionSpec) { s.Events = []string{"user.*", "user.*"} }},
		{"Filter", "has 2049 characters", func(s *SubscriptionSpec) { s.Filter = "==" + strings.Repeat("é", 2047) }},
		{"Filter", "must be valid UTF-8", func(s *SubscriptionSpec) { s.Filter = "a == '\xff'" }},
		{"Filter", "line 1, column 1: compares nothing", func(s *SubscriptionSpec) { s.Filter = "a" }},
		{"Headers", "has 51 headers", func(s *SubscriptionSpec) { s.Headers = manyKeys(51) }},
		{"Headers", "has 8193 bytes", func(s *SubscriptionSpec) { s.Headers = map[string]string{"X": strings.Repeat("v", 8192)} }},
		{"Headers", `"": is not the name`, func(s *SubscriptionSpec) { s.Headers = map[string]string{"": "v"} }},
		{"Headers", `"X A": is not the name`, func(s *SubscriptionSpec) { s.Headers = map[string]string{"X A": "v"} }},
		{"Headers", `"X-É": is not the name`, func(s *SubscriptionSpec) { s.Headers = map[string]string{"X-É": "v"} }},
		{"Headers", `"X\r\nY": is not the name`, func(s *SubscriptionSpec) { s.Headers = map[string]string{"X\r\nY": "v"} }},
		{"Headers", "must not hold line breaks", func(s *SubscriptionSpec) { s.Headers = map[string]string{"X": "hunter2\r\nEvil: 1"} }},
		{"Headers", "its value must not hold NUL", func(s *SubscriptionSpec) { s.Headers = map[string]string{"X": "hunter2\x00"} }},
		{"Headers", "must not begin or end with white space", func(s *SubscriptionSpec) { s.Headers = map[string]string{"X": " hunter2"} }},
		{"Headers", "is there twice", func(s *SubscriptionSpec) { s.Headers = map[string]string{"X-A": "1", "x-a": "2"} }},
		{"Headers", "is there twice", func(s *SubscriptionSpec) { s.Headers = map[string]string{"X-A": "1", "x_a": "2"} }},
		{"MaxInFlight", "is -1", func(s *SubscriptionSpec) { s.MaxInFlight = -1 }},
		{"MaxInFlight", "is 1001", func(s *SubscriptionSpec) { s.MaxInFlight = 1001 }},
		{"Metadata", "has 51 keys", func(s *SubscriptionSpec) { s.Metadata = manyKeys(51) }},
		{"Metadata", "has 8193 bytes", func(s *SubscriptionSpec) { s.Metadata = map[string]string{"k": strings.Repeat("v", 8193-8)} }},
		{"Metadata", "a key is empty", func(s *SubscriptionSpec) { s.Metadata = map[string]string{"": "v"} }},
		{"Metadata", "a key: must be valid UTF-8", func(s *SubscriptionSpec) { s.Metadata = map[string]string{"\xff": "v"} }},
		{"Metadata", `key "k": must not hold NUL`, func(s *SubscriptionSpec) { s.Metadata = map[string]string{"k": "\x00"} }},
		{"Name", "has 257 characters", func(s *SubscriptionSpec) { s.Name = strings.Repeat("é", 257) }},
		{"Name", "must be valid UTF-8", func(s *SubscriptionSpec) { s.Name = "\xff" }},
		{"Owner", "is required, unless Operator is set", func(s *SubscriptionSpec) { s.Owner = "" }},
		{"Owner", "must be empty: Operator is set", func(s *SubscriptionSpec) { s.Operator = true }},
		{"Owner", "must not hold white space", func(s *SubscriptionSpec) { s.Owner = "ada lovelace" }},
		{"Owner", "must not hold white space", func(s *SubscriptionSpec) { s.Owner = "ada\u00a0" }},
		{"Owner", "must not hold NUL", func(s *SubscriptionSpec) { s.Owner = "ada\x00" }},
		{"Owner", "has 513 characters", func(s *SubscriptionSpec) { s.Owner = strings.Repeat("é", 513) }},
		{"Permission", "must be empty: with Operator", func(s *SubscriptionSpec) {
			s.Operator = true
			s.Owner = ""
			s.Permission = "view"
		}},
		{"Permission", "has 513 characters", func(s *SubscriptionSpec) { s.Permission = strings.Repeat("p", 513) }},
		{"Schedule", `"svix" is not known`, func(s *SubscriptionSpec) { s.Schedule = "svix" }},
		{"Secret", `must begin with "whsec_"`, func(s *SubscriptionSpec) { s.Secret = secretOf("hunter2") }},
		{"SecretKind", `is "v2"`, func(s *SubscriptionSpec) { s.SecretKind = "v2" }},
		{"SecretKind", `the secret is of kind "v1"`, func(s *SubscriptionSpec) { s.Secret, s.SecretKind = secretOfLength(32), SecretEd25519 }},
		{"Site", `must begin with "/"`, func(s *SubscriptionSpec) { s.Site = "a" }},
		{"Timeout", "is 999ms; must be 1s to 1m0s", func(s *SubscriptionSpec) { s.Timeout = 999 * time.Millisecond }},
		{"Timeout", "is 1m0.001s", func(s *SubscriptionSpec) { s.Timeout = time.Minute + time.Millisecond }},
		{"Timeout", "is -1s", func(s *SubscriptionSpec) { s.Timeout = -time.Second }},
		{"Timeout", "must be whole milliseconds", func(s *SubscriptionSpec) { s.Timeout = time.Second + time.Microsecond }},
		{"URL", "is required", func(s *SubscriptionSpec) { s.URL = "" }},
		{"URL", "must be https", func(s *SubscriptionSpec) { s.URL = "http://ada:hunter2@example.com" }},
		{"URL", "has 2049 characters", func(s *SubscriptionSpec) { s.URL = "https://e.com/" + strings.Repeat("a", 2049-14) }},
		{"URL", "must not hold NUL", func(s *SubscriptionSpec) { s.URL = "https://e.com/\x00" }},
	} {
		spec := specAt("/a")
		c.change(&spec)
		_, err := testConfig().prepare(spec)
		require.ErrorIs(t, err, ErrInvalidSubscription, c.reason)
		var invalid *InvalidSubscriptionError
		require.ErrorAs(t, err, &invalid)
		require.Equal(t, c.field, invalid.Field)
		require.Contains(t, invalid.Reason, c.reason)
		require.NotContains(t, err.Error(), "hunter2")
	}
}

func TestReservedHeadersAreRefusedInAnyCase(t *testing.T) {
	t.Parallel()
	for _, name := range []string{
		"Host", "Content-Length", "Content-Type", "Transfer-Encoding", "Connection", "Keep-Alive", "Proxy-Authorization", "Proxy-Connection",
		"TE", "Trailer", "Upgrade", "Expect", "User-Agent", "Idempotency-Key", "X-Idempotency-Key", "Webhook-Id", "webhook-anything",
		"Accept-Encoding", "Content-Encoding", "Content-Digest", "HTTP2-Settings",
	} {
		for _, spelled := range []string{name, strings.ToLower(name), strings.ToUpper(name), strings.ReplaceAll(name, "-", "_")} {
			spec := specAt("/a")
			spec.Headers = map[string]string{spelled: "v"}
			_, err := testConfig().prepare(spec)
			require.ErrorContains(t, err, "Headers: \""+spelled+"\": is reserved")
		}
	}
}

func TestTheErrorOfCheckURLIsBehindTheRefusal(t *testing.T) {
	t.Parallel()
	spec := specAt("/a")
	spec.URL = "http://example.com"
	_, err := testConfig().prepare(spec)
	require.ErrorIs(t, err, errScheme)
	require.NotErrorIs(t, err, errors.New("other"))
}

func TestDefaultsOfASubscription(t *testing.T) {
	t.Parallel()
	n, err := testConfig().prepare(SubscriptionSpec{
		Events: []string{"**"},
		Owner:  "ada",
		URL:    "https://e.com",
	})
	require.NoError(t, err)
	require.Equal(t, "standard", n.sub.Dialect)
	require.Equal(t, "view", n.sub.Permission)
	require.Equal(t, Root, n.sub.Site)
	require.Equal(t, StateActive, n.sub.State)
	require.Equal(t, SecretHMAC, n.secret.Kind())
	n, err = testConfig().prepare(SubscriptionSpec{
		Events:   []string{"**"},
		Operator: true,
		Paused:   true,
		URL:      "https://e.com",
	})
	require.NoError(t, err)
	require.Empty(t, n.sub.Permission)
	require.Equal(t, StatePaused, n.sub.State)
}

func TestAStoreIsRefusedWithABadConfig(t *testing.T) {
	t.Parallel()
	for why, cfg := range map[string]*SubscriptionsConfig{
		"CheckURL: is required": nil,
		"CheckURL: is":          {},
		"MaxTimeout: is 1ms":    {CheckURL: checkHTTPS, MaxTimeout: time.Millisecond},
		"Schema: ":              {CheckURL: checkHTTPS, Schema: `a"b`},
		"Sealer: is required":   {CheckURL: checkHTTPS},
		"a pool is required":    {CheckURL: checkHTTPS, Sealer: seal.Clear()},
	} {
		_, err := NewSubscriptions(nil, cfg)
		require.ErrorContains(t, err, "hierarchy: new subscriptions: "+why)
	}
	_, err := NewSites(nil, nil)
	require.ErrorContains(t, err, "a pool is required")
	_, err = NewSites(nil, &SitesConfig{Schema: "A"})
	require.ErrorContains(t, err, "Schema: ")
	_, err = NewResolver(nil, nil)
	require.ErrorContains(t, err, "a pool is required")
	_, err = NewResolver(nil, &ResolverConfig{Schema: "A"})
	require.ErrorContains(t, err, "Schema: ")
	_, err = NewResolver(nil, &ResolverConfig{TreeTimeout: -1})
	require.ErrorContains(t, err, "TreeTimeout: ")
}
