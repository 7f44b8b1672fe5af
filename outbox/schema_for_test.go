package outbox

import (
	"encoding/json"
	"math/big"
	"net/netip"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"github.com/riverhook/riverhook/access"
	"github.com/riverhook/riverhook/internal/jsonschema"
	"github.com/riverhook/riverhook/internal/payload"
)

type named1 struct {
	ID uuid.UUID `json:"id"`
}

type derived struct {
	named1

	Address   netip.Addr                `json:"address"`
	Any       any                       `json:"any"`
	At        time.Time                 `json:"at"`
	Bytes     []byte                    `json:"bytes"`
	Count     uint8                     `json:"count"`
	Gone      *time.Time                `json:"gone,omitempty" jsonschema:"when it went"`
	Map       map[string]map[string]int `json:"map"`
	Nick      *string                   `json:"nick"`
	Number    json.Number               `json:"number"`
	Raw       json.RawMessage           `json:"raw"`
	Resources []access.Resource         `json:"resources"`
	Sum       *big.Int                  `json:"sum"`
	unseen    func()
}

type node struct {
	Children []node `json:"children"`
}

func TestSchemaFor_TakesWhatTheValuesOfATypeAreEncodedAs(t *testing.T) {
	t.Parallel()
	text, err := SchemaFor[derived]()
	require.NoError(t, err)
	schema, err := jsonschema.Compile(text, "")
	require.NoError(t, err)
	nick, now := "a", time.Now()
	full := derived{
		named1:    named1{ID: uuid.New()},
		Address:   netip.IPv6Loopback(),
		Any:       []int{1},
		At:        now,
		Bytes:     []byte("a"),
		Count:     255,
		Gone:      &now,
		Map:       map[string]map[string]int{"a": nil, "b": {"c": 1}},
		Nick:      &nick,
		Number:    "1.5",
		Raw:       json.RawMessage(`{"a": 1}`),
		Resources: []access.Resource{{Kind: "k", ID: "i"}},
		Sum:       big.NewInt(7),
		unseen:    func() {},
	}
	for _, v := range []any{derived{}, full} {
		data, err := payload.Marshal(v)
		require.NoError(t, err)
		require.NoError(t, schema.Validate(data), string(data))
	}
	require.Contains(t, string(text), "when it went")

	for pointer, change := range map[string]any{
		"/id": "no", "/at": "no", "/bytes": []int{1}, "/count": 256, "/gone": "no", "/map/a": 1, "/nick": 1,
		"/number": "1.5", "/resources/0/Kind": 1, "/more": 1,
	} {
		var fields map[string]any
		data, err := payload.Marshal(full)
		require.NoError(t, err)
		require.NoError(t, json.Unmarshal(data, &fields))
		switch pointer {
		case "/map/a":
			fields["map"] = map[string]any{"a": change}
		case "/resources/0/Kind":
			fields["resources"] = []any{map[string]any{"Kind": change, "ID": ""}}
		default:
			fields[pointer[1:]] = change
		}
		data, err = payload.Marshal(fields)
		require.NoError(t, err)
		require.ErrorContains(t, schema.Validate(data), `at "`+pointer+`"`)
	}
	require.ErrorContains(t, schema.Validate([]byte("{}")), `has no property "address"`)
}

func TestSchemaFor_ATypeWithoutOneIsRefused(t *testing.T) {
	t.Parallel()
	_, err := SchemaFor[node]()
	require.ErrorContains(t, err, "outbox: schema for outbox.node: ")
	require.ErrorContains(t, err, "cycle")
	_, err = SchemaFor[struct{ F func() }]()
	require.ErrorContains(t, err, "outbox: schema for ")
	_, err = SchemaFor[struct {
		N int `json:",string"`
	}]()
	require.ErrorContains(t, err, `its zero value is not valid by it: at "/N"`)
}

func TestSchemaFor_TheOrderOfFieldsIsNoPartOfIt(t *testing.T) {
	t.Parallel()
	one, err := SchemaFor[struct{ A, B int }]()
	require.NoError(t, err)
	other, err := SchemaFor[struct{ B, A int }]()
	require.NoError(t, err)
	require.True(t, sameJSON(one, other))
	require.False(t, sameJSON(one, []byte("true")))
}
