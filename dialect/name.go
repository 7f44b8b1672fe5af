package dialect

import (
	"fmt"
	"reflect"
)

// CheckName says whether name can name a dialect: 1 to 64 of [a-z0-9_-].
func CheckName(name string) error {
	valid := 1 <= len(name) && len(name) <= 64
	for i := range len(name) {
		c := name[i]
		valid = valid && ('a' <= c && c <= 'z' || '0' <= c && c <= '9' || c == '_' || c == '-')
	}
	if !valid {
		return fmt.Errorf("name %q: must be 1 to 64 of a-z, 0-9, _ and -", name)
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
