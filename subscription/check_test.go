package subscription

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/riverhook/riverhook/hierarchy"
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

func testConfig() Config {
	return Config{
		CheckFilter: checkEqual,
		CheckURL:    checkHTTPS,
		Dialects:    []string{"standard", "plain"},
		Schedules:   []string{"standard", "none"},
	}.withDefaults()
}

func TestCreate_AcceptsASubscriptionAtTheEdgeOfWhatIsAllowed(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(*Spec){
		"as it is":             func(*Spec) {},
		"channels":             func(s *Spec) { s.Channels = append(many(99, "c%d"), strings.Repeat("é", 512)) },
		"description":          func(s *Spec) { s.Description = strings.Repeat("é", 4096) },
		"dialect":              func(s *Spec) { s.Dialect = "plain" },
		"events":               func(s *Spec) { s.Events = many(100, "user.e%d") },
		"filter":               func(s *Spec) { s.Filter = "a ==\r\n\t" + strings.Repeat("é", 2048-7) },
		"header value":         func(s *Spec) { s.Headers = map[string]string{"X-A": "a\tb é", "Authorization": ""} },
		"headers":              func(s *Spec) { s.Headers = manyKeys(50) },
		"headers by size":      func(s *Spec) { s.Headers = map[string]string{"X": strings.Repeat("v", 8191)} },
		"in flight":            func(s *Spec) { s.MaxInFlight = 128 },
		"lowest rate":          func(s *Spec) { s.Rate = rateOf(1, 24*time.Hour, 1) },
		"highest rate":         func(s *Spec) { s.Rate = rateOf(1_000_000, 100*time.Second, 10_000) },
		"rate by its default":  func(s *Spec) { s.Rate = Rate{Events: 10_000} },
		"longest timeout":      func(s *Spec) { s.Timeout = time.Minute },
		"metadata":             func(s *Spec) { s.Metadata = manyKeys(50) },
		"metadata by size":     func(s *Spec) { s.Metadata = map[string]string{"k": strings.Repeat("v", 8192-8)} },
		"name":                 func(s *Spec) { s.Name = strings.Repeat("é", 256) },
		"operator":             func(s *Spec) { s.Operator, s.Owner = true, "" },
		"owner":                func(s *Spec) { s.Owner = strings.Repeat("é", 512) },
		"permission":           func(s *Spec) { s.Permission = strings.Repeat("p", 512) },
		"schedule":             func(s *Spec) { s.Schedule = "none" },
		"shortest timeout":     func(s *Spec) { s.Timeout = time.Second },
		"site":                 func(s *Spec) { s.Site = "/a/b" },
		"webhook without dash": func(s *Spec) { s.Headers = map[string]string{"Webhooks": "v", "Proxy": "v", "X-Host": "v"} },
	} {
		spec := specAt("/a")
		change(&spec)
		_, err := testConfig().prepare(spec)
		require.NoError(t, err, name)
	}
}

func TestCreate_ARefusedFieldIsNamedWithTheReason(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		field, reason string
		change        func(*Spec)
	}{
		{"Channels", "has 101 entries; at most 100", func(s *Spec) { s.Channels = many(101, "c%d") }},
		{"Channels", "entry 1: has 513 characters", func(s *Spec) { s.Channels = []string{strings.Repeat("é", 513)} }},
		{"Channels", "entry 2: is empty", func(s *Spec) { s.Channels = []string{"a", ""} }},
		{"Channels", `entry 3: "a" is there twice`, func(s *Spec) { s.Channels = []string{"a", "A", "a"} }},
		{"Channels", "entry 1: must not hold NUL", func(s *Spec) { s.Channels = []string{"a\x00"} }},
		{"Description", "has 4097 characters", func(s *Spec) { s.Description = strings.Repeat("é", 4097) }},
		{"Dialect", `"hub" is not known; known are standard, plain`, func(s *Spec) { s.Dialect = "hub" }},
		{"Events", "must not be empty", func(s *Spec) { s.Events = nil }},
		{"Events", "has 101 entries", func(s *Spec) { s.Events = many(101, "user.e%d") }},
		{"Events", `entry 1: pattern "user"`, func(s *Spec) { s.Events = []string{"user"} }},
		{"Events", `entry 2: "user.*" is there twice`, func(s *Spec) { s.Events = []string{"user.*", "user.*"} }},
		{"Filter", "has 2049 characters", func(s *Spec) { s.Filter = "==" + strings.Repeat("é", 2047) }},
		{"Filter", "must be valid UTF-8", func(s *Spec) { s.Filter = "a == '\xff'" }},
		{"Filter", "line 1, column 1: compares nothing", func(s *Spec) { s.Filter = "a" }},
		{"Headers", "has 51 headers", func(s *Spec) { s.Headers = manyKeys(51) }},
		{"Headers", "has 8193 bytes", func(s *Spec) { s.Headers = map[string]string{"X": strings.Repeat("v", 8192)} }},
		{"Headers", `"": is not the name`, func(s *Spec) { s.Headers = map[string]string{"": "v"} }},
		{"Headers", `"X A": is not the name`, func(s *Spec) { s.Headers = map[string]string{"X A": "v"} }},
		{"Headers", `"X-É": is not the name`, func(s *Spec) { s.Headers = map[string]string{"X-É": "v"} }},
		{"Headers", `"X\r\nY": is not the name`, func(s *Spec) { s.Headers = map[string]string{"X\r\nY": "v"} }},
		{"Headers", "must not hold line breaks", func(s *Spec) { s.Headers = map[string]string{"X": "hunter2\r\nEvil: 1"} }},
		{"Headers", "its value must not hold NUL", func(s *Spec) { s.Headers = map[string]string{"X": "hunter2\x00"} }},
		{"Headers", "must not begin or end with white space", func(s *Spec) { s.Headers = map[string]string{"X": " hunter2"} }},
		{"Headers", "is there twice", func(s *Spec) { s.Headers = map[string]string{"X-A": "1", "x-a": "2"} }},
		{"Headers", "is there twice", func(s *Spec) { s.Headers = map[string]string{"X-A": "1", "x_a": "2"} }},
		{"MaxInFlight", "is -1", func(s *Spec) { s.MaxInFlight = -1 }},
		{"MaxInFlight", "is 129; must be 1 to 128", func(s *Spec) { s.MaxInFlight = 129 }},
		{"Rate.Events", "is 0; must be 1 to 1000000, or all zero for no limit", func(s *Spec) { s.Rate = Rate{Burst: 1} }},
		{"Rate.Events", "is -1", func(s *Spec) { s.Rate = Rate{Events: -1} }},
		{"Rate.Events", "is 1000001", func(s *Spec) { s.Rate = Rate{Events: 1_000_001, Per: time.Hour} }},
		{"Rate.Events", "is 10001 in 1s; must be at most 10000 in 1s", func(s *Spec) { s.Rate = Rate{Events: 10_001} }},
		{"Rate.Per", "is 999ms; must be 1s to 24h0m0s", func(s *Spec) { s.Rate = Rate{Events: 1, Per: 999 * time.Millisecond} }},
		{"Rate.Per", "is 1.0005s; must be 1s to 24h0m0s in whole milliseconds", func(s *Spec) { s.Rate = Rate{Events: 1, Per: 1_000_500_000} }},
		{"Rate.Per", "is 25h0m0s", func(s *Spec) { s.Rate = Rate{Events: 1, Per: 25 * time.Hour} }},
		{"Rate.Burst", "is 10001; must be 1 to 10000", func(s *Spec) { s.Rate = Rate{Events: 10_000, Burst: 10_001} }},
		{"Rate.Burst", "is -1", func(s *Spec) { s.Rate = Rate{Events: 1, Burst: -1} }},
		{"Rate.Burst", "is 25; must be no more than the rate has in 24h0m0s", func(s *Spec) { s.Rate = rateOf(1, time.Hour, 25) }},
		{"Metadata", "has 51 keys", func(s *Spec) { s.Metadata = manyKeys(51) }},
		{"Metadata", "has 8193 bytes", func(s *Spec) { s.Metadata = map[string]string{"k": strings.Repeat("v", 8193-8)} }},
		{"Metadata", "a key is empty", func(s *Spec) { s.Metadata = map[string]string{"": "v"} }},
		{"Metadata", "a key: must be valid UTF-8", func(s *Spec) { s.Metadata = map[string]string{"\xff": "v"} }},
		{"Metadata", `key "k": must not hold NUL`, func(s *Spec) { s.Metadata = map[string]string{"k": "\x00"} }},
		{"Name", "has 257 characters", func(s *Spec) { s.Name = strings.Repeat("é", 257) }},
		{"Name", "must be valid UTF-8", func(s *Spec) { s.Name = "\xff" }},
		{"Owner", "is required, unless Operator is set", func(s *Spec) { s.Owner = "" }},
		{"Owner", "must be empty: Operator is set", func(s *Spec) { s.Operator = true }},
		{"Owner", "must not hold white space", func(s *Spec) { s.Owner = "ada lovelace" }},
		{"Owner", "must not hold white space", func(s *Spec) { s.Owner = "ada\u00a0" }},
		{"Owner", "must not hold NUL", func(s *Spec) { s.Owner = "ada\x00" }},
		{"Owner", "has 513 characters", func(s *Spec) { s.Owner = strings.Repeat("é", 513) }},
		{"Permission", "must be empty: with Operator", func(s *Spec) {
			s.Operator = true
			s.Owner = ""
			s.Permission = "view"
		}},
		{"Permission", "has 513 characters", func(s *Spec) { s.Permission = strings.Repeat("p", 513) }},
		{"Schedule", `"svix" is not known`, func(s *Spec) { s.Schedule = "svix" }},
		{"Secret", `must begin with "whsec_"`, func(s *Spec) { s.Secret = secretOf("hunter2") }},
		{"SecretKind", `is "v2"`, func(s *Spec) { s.SecretKind = "v2" }},
		{"SecretKind", `the secret is of kind "v1"`, func(s *Spec) { s.Secret, s.SecretKind = secretOfLength(32), SecretEd25519 }},
		{"Site", `must begin with "/"`, func(s *Spec) { s.Site = "a" }},
		{"Timeout", "is 999ms; must be 1s to 1m0s", func(s *Spec) { s.Timeout = 999 * time.Millisecond }},
		{"Timeout", "is 1m0.001s", func(s *Spec) { s.Timeout = time.Minute + time.Millisecond }},
		{"Timeout", "is -1s", func(s *Spec) { s.Timeout = -time.Second }},
		{"Timeout", "must be whole milliseconds", func(s *Spec) { s.Timeout = time.Second + time.Microsecond }},
		{"URL", "is required", func(s *Spec) { s.URL = "" }},
		{"URL", "must be https", func(s *Spec) { s.URL = "http://ada:hunter2@example.com" }},
		{"URL", "has 2049 characters", func(s *Spec) { s.URL = "https://e.com/" + strings.Repeat("a", 2049-14) }},
		{"URL", "must not hold NUL", func(s *Spec) { s.URL = "https://e.com/\x00" }},
	} {
		spec := specAt("/a")
		c.change(&spec)
		_, err := testConfig().prepare(spec)
		require.ErrorIs(t, err, ErrInvalid, c.reason)
		var invalid *InvalidError
		require.ErrorAs(t, err, &invalid)
		require.Equal(t, c.field, invalid.Field)
		require.Contains(t, invalid.Reason, c.reason)
		require.NotContains(t, err.Error(), "hunter2")
	}
}

func TestCreate_RefusesReservedHeadersInAnyCase(t *testing.T) {
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

func TestCreate_TheErrorOfCheckURLIsBehindTheRefusal(t *testing.T) {
	t.Parallel()
	spec := specAt("/a")
	spec.URL = "http://example.com"
	_, err := testConfig().prepare(spec)
	require.ErrorIs(t, err, errScheme)
	require.NotErrorIs(t, err, errors.New("other"))
}

func TestCreate_FillsInTheDefaults(t *testing.T) {
	t.Parallel()
	n, err := testConfig().prepare(Spec{
		Events: []string{"**"},
		Owner:  "ada",
		URL:    "https://e.com",
	})
	require.NoError(t, err)
	require.Equal(t, "standard", n.sub.Dialect)
	require.Equal(t, "view", n.sub.Permission)
	require.Equal(t, hierarchy.Root, n.sub.Site)
	require.Equal(t, StateActive, n.sub.State)
	require.Equal(t, SecretHMAC, n.secret.Kind())
	n, err = testConfig().prepare(Spec{
		Events:   []string{"**"},
		Operator: true,
		Paused:   true,
		URL:      "https://e.com",
	})
	require.NoError(t, err)
	require.Empty(t, n.sub.Permission)
	require.Equal(t, StatePaused, n.sub.State)
}

func TestNewSubscriptions_RefusesABadConfig(t *testing.T) {
	t.Parallel()
	for why, cfg := range map[string]*Config{
		"CheckURL: is required": nil,
		"CheckURL: is":          {},
		"MaxInFlight: is 1001":  {CheckURL: checkHTTPS, MaxInFlight: 1001},
		"MaxTimeout: is 1ms":    {CheckURL: checkHTTPS, MaxTimeout: time.Millisecond},
		"Schema: ":              {CheckURL: checkHTTPS, Schema: `a"b`},
		"Sealer: is required":   {CheckURL: checkHTTPS},
		"a pool is required":    {CheckURL: checkHTTPS, Sealer: seal.Clear()},
	} {
		_, err := NewStore(nil, cfg)
		require.ErrorContains(t, err, "subscription: new store: "+why)
	}
	_, err := hierarchy.NewSites(nil, nil)
	require.ErrorContains(t, err, "a pool is required")
	_, err = hierarchy.NewSites(nil, &hierarchy.SitesConfig{Schema: "A"})
	require.ErrorContains(t, err, "Schema: ")
	_, err = hierarchy.NewResolver(nil, nil)
	require.ErrorContains(t, err, "a pool is required")
	_, err = hierarchy.NewResolver(nil, &hierarchy.ResolverConfig{Schema: "A"})
	require.ErrorContains(t, err, "Schema: ")
	_, err = hierarchy.NewResolver(nil, &hierarchy.ResolverConfig{TreeTimeout: -1})
	require.ErrorContains(t, err, "TreeTimeout: ")
}
