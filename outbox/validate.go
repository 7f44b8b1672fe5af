package outbox

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/riverhook/riverhook/event"
	"github.com/riverhook/riverhook/hierarchy"
	"github.com/riverhook/riverhook/internal/eventtype"
	"github.com/riverhook/riverhook/internal/payload"
)

const (
	maxKindChars      = 128
	maxTextChars      = 512
	maxAttributeBytes = 64 << 10
	maxYear           = 9999
)

// The SQL functions judge by the same rules. These and those of hierarchy must
// stay equal to the ones in intent_problem.
var (
	wireID = regexp.MustCompile(`^[A-Za-z0-9_-]{1,128}$`)
	share  = regexp.MustCompile(`^(/|[A-Za-z0-9._~@:+-]{1,64})$`)
)

// record is an intent as the SQL function takes it. What is left out has the
// default that the function gives it.
type record struct {
	ActiveSite    hierarchy.Path    `json:"active_site,omitempty"`
	Actor         string            `json:"actor,omitempty"`
	Attributes    map[string]string `json:"attributes,omitempty"`
	Channel       string            `json:"channel,omitempty"`
	Data          string            `json:"data"`
	ID            string            `json:"id,omitempty"`
	NotBefore     *time.Time        `json:"not_before,omitempty"`
	OccurredAt    *time.Time        `json:"occurred_at,omitempty"`
	ResourceID    string            `json:"resource_id,omitempty"`
	ResourceKind  string            `json:"resource_kind,omitempty"`
	SchemaVersion int               `json:"schema_version,omitempty"` // set by registry.check
	Share         string            `json:"share,omitempty"`
	Site          hierarchy.Path    `json:"site,omitempty"`
	Type          string            `json:"type"`

	checked bool // by newRecord
}

func newRecord(in *Intent, maxData int) (*record, *InvalidIntentError) {
	for _, check := range []func(*Intent) *InvalidIntentError{
		checkID, checkType, checkSchemaVersion, checkShare, checkSites, checkResource, checkTexts, checkAttributes, checkTimes,
	} {
		if bad := check(in); bad != nil {
			return nil, bad
		}
	}
	data, bad := encodeData(in.Data, maxData)
	if bad != nil {
		return nil, bad
	}
	return &record{
		ActiveSite:   in.ActiveSite,
		Actor:        in.Actor,
		Attributes:   in.Attributes,
		Channel:      in.Channel,
		Data:         data,
		ID:           in.ID,
		NotBefore:    microseconds(in.NotBefore),
		OccurredAt:   microseconds(in.OccurredAt),
		ResourceID:   in.Resource.ID,
		ResourceKind: in.Resource.Kind,
		Share:        in.Share,
		Site:         in.Site,
		Type:         in.Type,
		checked:      true,
	}, nil
}

func refuse(field, reason string, args ...any) *InvalidIntentError {
	return &InvalidIntentError{Field: field, Reason: fmt.Sprintf(reason, args...)}
}

func refuseErr(field string, err error) *InvalidIntentError {
	return &InvalidIntentError{
		Field:  field,
		Reason: err.Error(),
		err:    err,
	}
}

func checkID(in *Intent) *InvalidIntentError {
	if in.ID != "" && !wireID.MatchString(in.ID) {
		return refuse("ID", `must be 1 to 128 letters, digits, "_" or "-"`)
	}
	return nil
}

func checkType(in *Intent) *InvalidIntentError {
	if err := event.CheckType(in.Type); err != nil {
		return refuseErr("Type", err)
	}
	if eventtype.IsReserved(in.Type) {
		return refuse("Type", `must not begin with %q: such events are Riverhook's own`, eventtype.ReservedPrefix)
	}
	return nil
}

func checkShare(in *Intent) *InvalidIntentError {
	if in.Share != "" && !share.MatchString(in.Share) {
		return refuse("Share", `must be "/" or 1 to 64 letters, digits or "._~@:+-"`)
	}
	return nil
}

func checkSites(in *Intent) *InvalidIntentError {
	if in.Site != "" {
		if _, err := hierarchy.ParsePath(string(in.Site)); err != nil {
			return refuseErr("Site", err)
		}
	}
	if in.ActiveSite != "" {
		if _, err := hierarchy.ParsePath(string(in.ActiveSite)); err != nil {
			return refuseErr("ActiveSite", err)
		}
	}
	return nil
}

func checkResource(in *Intent) *InvalidIntentError {
	if (in.Resource.Kind == "") != (in.Resource.ID == "") {
		return refuse("Resource", "needs both a kind and an id, or neither")
	}
	if bad := checkText("Resource.Kind", in.Resource.Kind, maxKindChars); bad != nil {
		return bad
	}
	return checkText("Resource.ID", in.Resource.ID, maxTextChars)
}

func checkTexts(in *Intent) *InvalidIntentError {
	if bad := checkText("Actor", in.Actor, maxTextChars); bad != nil {
		return bad
	}
	return checkText("Channel", in.Channel, maxTextChars)
}

func checkAttributes(in *Intent) *InvalidIntentError {
	size := 0
	for _, key := range slices.Sorted(maps.Keys(in.Attributes)) {
		value := in.Attributes[key]
		for _, text := range []string{key, value} {
			if reason := notText(text); reason != "" {
				return refuse("Attributes", "%.80q: %s", key, reason)
			}
		}
		size += len(key) + len(value)
	}
	if size > maxAttributeBytes {
		return refuse("Attributes", "have %d bytes of keys and values; at most %d are allowed", size, maxAttributeBytes)
	}
	return nil
}

func checkTimes(in *Intent) *InvalidIntentError {
	if year := in.OccurredAt.UTC().Year(); year < 1 || year > maxYear {
		return refuse("OccurredAt", "must be in the years 1 to 9999")
	}
	if year := in.NotBefore.UTC().Year(); year < 1 || year > maxYear {
		return refuse("NotBefore", "must be in the years 1 to 9999")
	}
	return nil
}

func checkText(field, text string, maxChars int) *InvalidIntentError {
	if reason := notText(text); reason != "" {
		return refuse(field, "%s", reason)
	}
	if n := utf8.RuneCountInString(text); n > maxChars {
		return refuse(field, "has %d characters; at most %d are allowed", n, maxChars)
	}
	return nil
}

// notText says why Postgres would not take a text.
func notText(text string) string {
	switch {
	case !utf8.ValidString(text):
		return "must be valid UTF-8"
	case strings.ContainsRune(text, 0):
		return "must not hold NUL"
	default:
		return ""
	}
}

func encodeData(data any, maxBytes int) (string, *InvalidIntentError) {
	text, err := payload.Encode(data)
	if err != nil {
		return "", refuseErr("Data", err)
	}
	if len(text) > maxBytes {
		return "", refuse("Data", "has %d bytes; at most %d are allowed", len(text), maxBytes)
	}
	if err := payload.Check(text); err != nil {
		return "", refuseErr("Data", err)
	}
	return string(text), nil
}

func microseconds(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	t = t.UTC().Truncate(time.Microsecond)
	return &t
}
