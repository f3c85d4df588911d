//! Everything a stack can be made of: the one list of providers and the one list of kinds.

#[cfg(feature = "local")]
pub mod local;
pub mod std;

use ::std::sync::LazyLock;

use crate::kind::{ProviderRegistration, Registration, computed, object, provider as connects};

/// Every provider, by name.
pub static PROVIDERS: LazyLock<Vec<ProviderRegistration>> = LazyLock::new(|| {
    vec![
        connects::<std::Std>(),
        #[cfg(feature = "local")]
        connects::<local::Local>(),
    ]
});

/// Every kind, in the order of the help.
pub static KINDS: LazyLock<Vec<Registration>> = LazyLock::new(|| {
    vec![
        computed::<std::value::Value>(),
        object::<std::file::File>(),
        computed::<std::template::Template>(),
        object::<std::command::Command>(),
        computed::<std::random::Random>(),
        object::<std::wait_http::WaitHttp>(),
        #[cfg(feature = "local")]
        object::<local::shared_folder::SharedFolder>(),
        #[cfg(feature = "local")]
        object::<local::component::Component>(),
        #[cfg(feature = "local")]
        object::<local::instance::Instance>(),
        #[cfg(feature = "local")]
        object::<local::container::Container>(),
        #[cfg(feature = "local")]
        object::<local::function::Function>(),
        #[cfg(feature = "local")]
        object::<local::load_balancer::LoadBalancer>(),
    ]
});

/// Finds a kind by the name in a stack file.
#[must_use]
pub fn kind(name: &str) -> Option<&'static Registration> {
    KINDS.iter().find(|kind| kind.name == name)
}

/// Finds a provider by its name.
#[must_use]
pub fn provider(name: &str) -> Option<&'static ProviderRegistration> {
    PROVIDERS.iter().find(|provider| provider.name == name)
}

/// Names the cargo feature that would bring a family of kinds, if this build lacks it.
#[must_use]
pub fn left_out(family: &str) -> Option<&'static str> {
    let absent = [
        ("local", "local", cfg!(feature = "local")),
        ("aws", "aws", cfg!(feature = "aws")),
        ("azure", "azure", cfg!(feature = "azure")),
        ("kubernetes", "kubernetes", cfg!(feature = "kubernetes")),
    ];
    absent
        .iter()
        .find(|(name, _, built)| *name == family && !built)
        .map(|(_, feature, _)| *feature)
}
