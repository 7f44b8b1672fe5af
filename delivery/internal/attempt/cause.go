package attempt

import "strings"

// CauseKind is a kind of causes. Package delivery documents it.
type CauseKind string

// The kinds of causes, which the database stores by these names.
const (
	CauseCheck    CauseKind = "check"
	CauseChecker  CauseKind = "checker"
	CauseDialect  CauseKind = "dialect"
	CauseKey      CauseKind = "key"
	CauseSchedule CauseKind = "schedule"
	CauseSealer   CauseKind = "sealer"
	CauseTree     CauseKind = "tree"
)

// Cause is why deliveries and decisions are held that has nothing to do with an endpoint. The
// zero Cause is none. Package delivery documents it.
type Cause struct {
	Kind CauseKind `json:"kind"`
	Name string    `json:"name,omitempty"`
}

// ParseCause reads what String wrote.
func ParseCause(text string) Cause {
	kind, name, _ := strings.Cut(text, ":")
	return Cause{Kind: CauseKind(kind), Name: name}
}

// String is how a cause is stored: its kind, a colon and its name; "" for none.
func (c Cause) String() string {
	if c == (Cause{}) {
		return ""
	}
	return string(c.Kind) + ":" + c.Name
}
