package callbacks

import "strings"

// How a recorded reason or error begins if the rest of it is what host code said, or
// tells how the host works. The rest is for operators.
const (
	ReasonDenied       = "access denied: "
	ReasonUnresolvable = "unresolvable: "
	ReasonUndecided    = "access could not be decided: "
	ReasonNoChecker    = "no access checker "
	ReasonNoSite       = "the site of the resource is not known now: "
	ReasonExternalizer = "externalizer: "
	ReasonDialect      = "dialect: "
	ReasonNoFilter     = "the filter does not compile: "
	ReasonFilter       = "the filter failed: "
	ReasonEnded        = "process ended three times in "
	ReasonLargeData    = "the data has "
	ReasonLargeMessage = "the message has "
)

// Brief is the text of an error of host code, bounded and fit for a text column.
func Brief(err error) string {
	const limit = 500
	text := err.Error()
	if len(text) > limit {
		text = text[:limit] + "..."
	}
	return CleanText(text)
}

// CleanText makes a text fit for a text column: valid UTF-8 without NUL.
func CleanText(s string) string {
	return strings.ReplaceAll(strings.ToValidUTF8(s, "\uFFFD"), "\x00", "\uFFFD")
}
