package manifest

import (
	"errors"
	"fmt"
	"regexp"
	"strings"
)

// variables are what "${" begins, and "$${", which is "${" itself.
var (
	variables = regexp.MustCompile(`\$\$\{|\$\{[^}]*\}?`)
	variable  = regexp.MustCompile(`^\$\{([A-Za-z_][A-Za-z0-9_]*)\}$`)
)

// expand puts the values of variables into a text. The errors name variables and
// show no values.
func expand(text string, env func(string) (string, bool)) (string, error) {
	var errs []error
	expanded := variables.ReplaceAllStringFunc(text, func(found string) string {
		if found == "$${" {
			return "${"
		}
		name := variable.FindStringSubmatch(found)
		if name == nil {
			errs = append(errs, errors.New(`has "${" without the name of a variable and "}" behind it; "$${" is "${" itself`))
			return ""
		}
		value, ok := env(name[1])
		if !ok || value == "" {
			errs = append(errs, fmt.Errorf("the environment has no %s", name[1]))
		}
		return value
	})
	return expanded, errors.Join(errs...)
}

// hasVariable says whether expand would change a text.
func hasVariable(text string) bool { return strings.Contains(text, "${") }
