package dialect

import (
	"fmt"
	"reflect"
	"regexp"
)

var nameRE = regexp.MustCompile(`\A[a-z0-9_-]{1,64}\z`)

// CheckName says whether name can name a dialect: 1 to 64 of [a-z0-9_-].
func CheckName(name string) error {
	if !nameRE.MatchString(name) {
		return fmt.Errorf("dialect name %q: must be 1 to 64 of a-z, 0-9, _ and -", name)
	}
	return nil
}

// A nil pointer in an interface is refused where it is registered, rather than
// found by a panic at the first event.
func isNil(v any) bool {
	if v == nil {
		return true
	}
	switch rv := reflect.ValueOf(v); rv.Kind() {
	case reflect.Pointer, reflect.Func, reflect.Map, reflect.Slice, reflect.Interface, reflect.Chan:
		return rv.IsNil()
	default:
		return false
	}
}
