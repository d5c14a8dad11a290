package failpoint

import "context"

// at is whose effects they are: the first part of their names.
type at struct {
	set  *Set
	role string
}

func (a at) effect(name string, do func() error) error {
	return a.set.effect(a.role+"."+name, do)
}

type roleKey struct{}

// ctx tells the seams below, which the roles share, for whom they work.
func (a at) ctx(ctx context.Context) context.Context {
	return context.WithValue(ctx, roleKey{}, a.role)
}

func roleOf(ctx context.Context) string {
	role, _ := ctx.Value(roleKey{}).(string)
	return role
}

// value carries out an effect that returns something, which is lost with an error.
func value[T any](a at, name string, do func() (T, error)) (T, error) {
	var v, none T
	err := a.effect(name, func() (err error) {
		v, err = do()
		return err
	})
	if err != nil {
		return none, err
	}
	return v, nil
}
