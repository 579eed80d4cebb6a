"""operations"""

from vivavoce.console.visit import Page

PATH = "/console/operations"
PAGES: tuple[Page, ...] = ()
